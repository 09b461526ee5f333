// Sections of the network, which attacks go through one after the other, and their memory.
//
// Depth first, every layer's rows are between those of all others, and a network of many layers then
// goes through the farther caches with each row. So it is cut where a value is taken twice: before and
// behind each residual block, say. Such a value is whole before any layer takes of it, and the section
// behind it has the cache for itself. Layers read the value where it stands, if they can. A sum takes the
// place of the value that it is of, and tiles before an addition add their pixels there as they make them;
// so does, on the way back, the gradient by what was added up. What layers leave to nobody lies in memory
// that all sections share.
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

// Rows that such a layer's outputs are behind its inputs at least, and those that it looks back on.
template <class S, class = void>
struct Lag {
  static constexpr int BEHIND = 0, BACK = 0;
};
template <class S>
struct Lag<S, std::enable_if_t<(S::SH > 0)>> {
  static constexpr int BEHIND = S::KH - 1 - S::PH, BACK = S::PH;
};

template <class L>
struct Pace;
template <class... S>
struct Pace<List<S...>> {
  static constexpr bool KEPT[sizeof...(S) + 1] = {KeepsPace<S>::value...};
  static constexpr int BEHIND[sizeof...(S) + 1] = {Lag<S>::BEHIND...}, BACK[sizeof...(S) + 1] = {Lag<S>::BACK...};
};

// The sum of a section takes its value's place row by row, so that all layers between them must keep pace.
constexpr bool cut(int value) {
  if (value < 0 || value >= CONVOLUTIONS - 1 || takers(value) != 2 || passed_by(value)) return false;
  const int sum = taker(value, 0).layer;
  for (int layer = value + 1; is_addition(sum) && layer < sum; layer++)
    if (!Pace<Convolutions>::KEPT[layer]) return false;
  return true;
}

// Whether a layer may read such a value where it stands: the sum that takes the place, if there is one, then
// comes to no row before the layer has read it for the last time. When the layer has given row y it still
// needs those from y + 1 - BACK on, and the sum is BEHIND by the layers between them, which must be a chain.
constexpr bool read_in_place(int value, int layer) {
  const int sum = taker(value, 0).layer;
  if (!is_addition(sum)) return true;
  int behind = 0;
  for (int between = layer + 1; between < sum; between++) {
    if (SOURCES[between][0] != between - 1 || SOURCES[between][1] != NO_VALUE) return false;
    behind += Pace<Convolutions>::BEHIND[between];
  }
  return layer == value + 1 && behind >= Pace<Convolutions>::BACK[layer];
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
