// What the image layout makes of the packed space: tensors as PyTorch has them, and back.
#pragma once

#include <vector>

#include "packing.hpp"

template <int I, class Weights>
void take(Weights& weights, const float* packed) {
  using Weight = ParameterPacking<2 * I>;
  std::vector<float> tensor(Weight::TENSOR);
  Weight::unpack(packed, tensor.data());
  weights.pack(tensor.data(), packed + Packed::start(2 * I + 1));
}

template <int I, class Gradient>
void begin(Gradient& gradient, float*) {
  gradient.clear();
}

template <int I, class Gradient>
void finish(Gradient& gradient, float* packed) {
  using Weight = ParameterPacking<2 * I>;
  std::vector<float> tensor(Weight::TENSOR);
  ParameterPacking<2 * I + 1>::clear(packed);
  gradient.add_to(tensor.data(), packed + Packed::start(2 * I + 1));
  Weight::pack(tensor.data(), packed);
}
