// Sections of the network, which attacks go through one after the other, and their memory.
//
// Depth first, every layer's rows are between those of all others, and a network of many layers then
// goes through the farther caches with each row. So it is cut where a value is taken twice: before and
// behind each residual block, say. Such a value is whole before any layer takes of it, and the section
// behind it has the cache for itself. An addition reads the value where it stands, and its sum takes the
// value's place; so does, on the way back, the gradient by what it adds up. What layers leave to nobody
// lies in memory that all sections share.
#pragma once

#include <algorithm>
#include <array>
#include <tuple>
#include <type_traits>
#include <utility>

#include "graph.hpp"

// Whether any layer behind a value takes one before it.
constexpr bool passed_by(int value) {
  for (int layer = value + 1; layer < CONVOLUTIONS; layer++)
    for (int port = 0; port < 2; port++)
      if (SOURCES[layer][port] < value && SOURCES[layer][port] != NO_VALUE) return true;
  return false;
}

// Whether a layer, on its way there, never gives a row before it takes the one of that number, nor on its way
// back: unless there is no such row.
template <class S, class = void>
struct KeepsPace : std::true_type {};
template <class S>
struct KeepsPace<S, std::enable_if_t<(S::SH > 0)>>  // not of those that leave rows out, nor of dilated ones
    : std::bool_constant<S::SH == 1 && S::PH < S::KH && S::HO == S::HI + 2 * S::PH - S::KH + 1> {};
template <int C, int HI, int WI, int TOP, int BOTTOM, int... SIDES>
struct KeepsPace<Padding<C, HI, WI, TOP, BOTTOM, SIDES...>> : std::bool_constant<TOP == 0 && BOTTOM == 0> {};

template <class L>
struct Pace;
template <class... S>
struct Pace<List<S...>> {
  static constexpr bool KEPT[sizeof...(S) + 1] = {KeepsPace<S>::value...};
};

// The sum of a section takes its value's place row by row, so that all layers between them must keep pace.
constexpr bool cut(int value) {
  if (value < 0 || value >= CONVOLUTIONS - 1 || takers(value) != 2 || passed_by(value)) return false;
  const int sum = taker(value, 0).layer;
  for (int layer = value + 1; is_addition(sum) && layer < sum; layer++)
    if (!Pace<Convolutions>::KEPT[layer]) return false;
  return true;
}

// The last such value before a layer, or before a value; -1 if there is none.
constexpr int last_cut(int before) {
  int value = before - 1;
  while (value >= 0 && !cut(value)) value--;
  return value < 0 ? -1 : value;
}

// The port of an addition that takes such a value; else -1.
constexpr int standing(int layer) {
  if (!is_addition(layer)) return -1;
  for (int port = 0; port < 2; port++)
    if (cut(SOURCES[layer][port])) return port;
  return -1;
}

// Which of two places such a value has.
constexpr int place(int value) {
  const int before = last_cut(value);
  return before < 0 ? 0 : standing(value) >= 0 ? place(before) : 1 - place(before);
}

// What a layer leaves neither to its way back nor to the next block: its Scratch, if it has one.
template <class L, class = void>
struct ScratchOf {
  using type = void;
  static constexpr size_t BYTES = 0;
};
template <class L>
struct ScratchOf<L, std::void_t<typename L::Scratch>> {
  using type = typename L::Scratch;
  static constexpr size_t BYTES = (sizeof(type) + 63) / 64 * 64;
};

// Where that of each of the network's layers begins. Layers of a section have memory of their own; in SECTIONS
// each section begins at the front again.
template <bool SECTIONS, class Layers>
struct ScratchPlan {
  template <int... I>
  static constexpr std::array<size_t, CONVOLUTIONS + 1> sizes(std::integer_sequence<int, I...>) {
    return {ScratchOf<std::tuple_element_t<I, Layers>>::BYTES...};
  }
  static constexpr std::array<size_t, CONVOLUTIONS + 1> BYTES =
      sizes(std::make_integer_sequence<int, CONVOLUTIONS>{});

  static constexpr size_t before(int layer) {
    size_t bytes = 0;
    for (int i = SECTIONS ? last_cut(layer) + 1 : 0; i < layer; i++) bytes += BYTES[i];
    return bytes;
  }
  static constexpr size_t all() {
    size_t most = 64;
    for (int i = 0; i < CONVOLUTIONS; i++) most = std::max(most, before(i) + BYTES[i]);
    return most;
  }
};
