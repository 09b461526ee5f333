// An update's gradients in the packed space: where each layer adds them up, which layers write factors in
// their place, and what several threads, or ranks, have written, added up.
#pragma once

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

#include "factors.hpp"
#include "layers.hpp"
#include "packing.hpp"

template <int I>
using DenseShape = typename At<Denses, (I > CONVOLUTIONS ? I - CONVOLUTIONS : 0)>::type;

// Weights of the largest dense layer.
template <int I = CONVOLUTIONS>
constexpr size_t largest_dense() {
  if constexpr (I < LAYERS) return std::max(DenseRows<DenseShape<I>>::SIZE, largest_dense<I + 1>());
  else return 0;
}

// Images whose factors have room in the segment of layer I; 0 if it has none: as a small layer, whose
// gradient costs little, and which would take the room from the others.
template <int I>
constexpr size_t room_of() {
  if constexpr (I >= CONVOLUTIONS && I < LAYERS)
    return 4 * DenseRows<DenseShape<I>>::SIZE < largest_dense() ? 0 : Factors<DenseShape<I>>::ROOM;
  else return 0;
}

// Images whose factors have room in every layer that has some; 0 if there is none.
template <int I = CONVOLUTIONS>
constexpr size_t room() {
  if constexpr (I < LAYERS) {
    constexpr size_t here = room_of<I>(), rest = room<I + 1>();
    return here && rest ? std::min(here, rest) : here + rest;
  } else return 0;
}

// Floats of one image's factors, of all layers that have them.
template <int I = CONVOLUTIONS>
constexpr size_t factor_size() {
  if constexpr (I < LAYERS) return (room_of<I>() ? Factors<DenseShape<I>>::SIZE : 0) + factor_size<I + 1>();
  else return 0;
}

#if UPDATES
// What layers add up until `finish_all` is to stand in their segments then, which they may use
// before.
template <int I = 0>
void begin_all(Chain<true>::Gradients& gradients, float* packed) {
  if constexpr (I < LAYERS) {
    std::get<I>(gradients).begin(packed + Packed::start(2 * I), packed + Packed::start(2 * I + 1));
    begin_all<I + 1>(gradients, packed);
  } else {
    over_parameters([=](auto parameter, int) { decltype(parameter)::clear_padding(packed); });
  }
}

// In factors: those layers that have them write none of the gradient itself.
template <int I = 0>
void finish_all(Chain<true>::Gradients& gradients, bool in_factors) {
  if constexpr (I < LAYERS) {
    if (!in_factors || !room_of<I>()) std::get<I>(gradients).finish();
    finish_all<I + 1>(gradients, in_factors);
  }
}

// The next block's factors are those of `images` images from number `first` of the packed space on;
// or, if there is none, its gradient is wanted.
template <int I = CONVOLUTIONS>
void place_factors(Chain<true>::Gradients& gradients, float* packed, int64_t first, int images) {
  if constexpr (I < LAYERS) {
    if constexpr (room_of<I>() > 0) {
      constexpr size_t SIZE = Factors<DenseShape<I>>::SIZE;
      std::get<I>(gradients).place = {
          packed ? packed + Packed::start(2 * I) + first * SIZE : nullptr, images};
    }
    place_factors<I + 1>(gradients, packed, first, images);
  }
}

// Adds what `threads` have summed up to `out`, in their order; in_factors: but what is none.
inline void add_sums(const std::vector<const float*>& sums, float* out, bool in_factors, int threads) {
  constexpr size_t PIECE = 4096;
  (void)threads;
  over_parameters([&](auto parameter, int) {
    using P = decltype(parameter);
    if (in_factors && P::ROWS && room_of<P::LAYER>()) return;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (size_t first = P::START; first < P::END; first += PIECE)
      for (const float* sum : sums)
        for (size_t i = first; i < std::min(first + PIECE, P::END); i++) out[i] += sum[i];
  });
}

// out[from..to) becomes the sum of those numbers of ranks' packed gradients, where `factors` says how
// many images a rank has in factors (less than none: it has the gradients themselves).
inline void add_ranks(const float* const* ranks, const int64_t* factors, int count, size_t from, size_t to,
               float* out) {
  over_parameters([&](auto parameter, int) {
    using P = decltype(parameter);
    const size_t begin = std::max(from, P::START), end = std::min(to, P::END);
    if (begin >= end) return;
    bool begun = false;
    constexpr bool FACTORS = P::ROWS && room_of<P::LAYER>() > 0;
    if constexpr (FACTORS) {
      using F = Factors<DenseShape<P::LAYER>>;
      std::vector<const float*> images;
      for (int r = 0; r < count; r++)
        for (int64_t i = 0; i < factors[r]; i++) images.push_back(ranks[r] + P::START + i * F::SIZE);
      begun = !images.empty();
      if (begun)
        multiply_factors<DenseShape<P::LAYER>>(images, begin - P::START, end - P::START, out + P::START);
    }
    // In pieces that stay in cache while all ranks' are added.
    constexpr size_t PIECE = 2048;
    for (size_t i = begin; i < end; i += PIECE) {
      const size_t size = std::min(PIECE, end - i);
      bool any = begun;
      for (int r = 0; r < count; r++) {
        if (FACTORS && factors[r] >= 0) continue;
        const float* in = ranks[r] + i;
        if (any)
          for (size_t k = 0; k < size; k++) out[i + k] += in[k];
        else std::memcpy(out + i, in, size * sizeof(float));
        any = true;
      }
      if (!any) std::memset(out + i, 0, size * sizeof(float));
    }
  });
}
#endif
