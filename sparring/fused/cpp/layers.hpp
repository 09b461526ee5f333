// The network's layers, counted.
#pragma once

#include "network.h"  // generated: Convolutions, SOURCES, Denses, TOGETHER, CHANNELS, HEIGHT, COLUMNS, SCALE, SHIFT
#include "shapes.hpp"

constexpr int CONVOLUTIONS = Convolutions::SIZE, DENSES = Denses::SIZE;
constexpr int LAYERS = CONVOLUTIONS + DENSES, PIXELS = CHANNELS * HEIGHT * COLUMNS;
constexpr int CLASSES = At<Denses, DENSES - 1>::type::J;

template <class ConvolutionList, class DenseList>
struct Sizes;
template <class... C, class... D>
struct Sizes<List<C...>, List<D...>> {
  static constexpr size_t WEIGHTS[sizeof...(C) + sizeof...(D)] = {C::WEIGHTS..., D::WEIGHTS...};
  static constexpr int BIASES[sizeof...(C) + sizeof...(D)] = {C::BIASES..., D::BIASES...};
};
using Tensors = Sizes<Convolutions, Denses>;
