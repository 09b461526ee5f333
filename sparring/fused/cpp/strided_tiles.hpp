// A convolution with strides, in attacks by Winograd tiles. An update takes it as it is written down: the
// sums of its weights' gradient would be several times as many numbers, by frequency, and fill a cache.
#pragma once

#include "general_convolution.hpp"
#include "winograd_convolution.hpp"

template <class S>
struct StridedTiles {
  using Tiles = WinogradConvolution<S>;
  using Plain = GeneralConvolution<S>;
  using Gradient = typename Plain::Gradient;

#if UPDATES
  struct Weights : Tiles::Weights, Plain::Weights {
    void take(const float* weight, const float* bias) {
      Tiles::Weights::take(weight, bias);
      Plain::Weights::take(weight, bias);
    }
  };
#else
  using Weights = typename Tiles::Weights;
#endif

  template <bool TRAIN>
  using Layer = typename std::conditional_t<TRAIN, Plain, Tiles>::template Layer<TRAIN>;
};
