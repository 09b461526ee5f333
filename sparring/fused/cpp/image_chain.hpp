// The layers of the network joined, for one image with channels in the lanes.
#pragma once

#include <tuple>

#include "ascent.hpp"
#include "image_convolution.hpp"
#include "image_dense.hpp"
#include "layers.hpp"

template <class Indices, class DenseList>
struct ImageParts;
template <int... I, class... D>
struct ImageParts<std::integer_sequence<int, I...>, List<D...>> {
  template <int N>
  using Convolution = ImageConvolution<typename At<Convolutions, N>::type, N == 0>;
  using Weights = std::tuple<typename Convolution<I>::Weights..., typename ImageDense<D>::Weights...>;
  using Gradients =
      std::tuple<typename Convolution<I>::Gradient..., typename ImageDense<D>::Gradient...>;
  using Layers = std::tuple<typename Convolution<I>::Layer..., typename ImageDense<D>::Layer...>;
};
using Network = ImageParts<std::make_integer_sequence<int, CONVOLUTIONS>, Denses>;

// One thread's state. All of it begins as zero bytes. Whether weights are trained matters only in
// what backward computes.
template <bool TRAIN>
class Chain {
 public:
  using Weights = Network::Weights;
  using Gradients = Network::Gradients;
  static constexpr int WIDTH = 1;

  void load(const float* images, int64_t, int64_t first) { by_pixel(images + first * PIXELS, image_); }
  void load_centre(const float* images, int64_t, int64_t first) {
    by_pixel(images + first * PIXELS, centre_);
  }
  void store(float* images, int64_t, int64_t first) const {
    by_channel(image_, images + first * PIXELS);
  }
  void store_gradient(float* images, int64_t, int64_t first) const {
    by_channel(gradient_, images + first * PIXELS);
  }
  float logit(int c, int) const { return last().output[c]; }
  void set_logit(int c, int, float z) { last().output[c] = z; }

  void ascend(const Settings& settings) {
    for (int i = PIXELS; i < N * LANES; i++) {  // no pixels: they must not count as distance
      image_[i] = centre_[i] = settings.low;
      gradient_[i] = 0.0f;
    }
    step<N, PixelsInLanes>(settings, reinterpret_cast<Vec*>(gradient_),
                           reinterpret_cast<const Vec*>(centre_), reinterpret_cast<Vec*>(image_));
  }

  void forward(const Weights& weights) {
    Pixels to = input<0>();
    // Without convolutions the whole image is one row.
    constexpr int ROWS = CONVOLUTIONS ? HEIGHT : 1, ROW = PIXELS / ROWS;
    for (int y = 0; y < ROWS; y++)
      for (int i = 0; i < ROW; i++) {
        float v = image_[y * ROW + i];
        to.at(y, 0)[i] = NORMALIZED ? SCALE[i % CHANNELS] * v + SHIFT[i % CHANNELS] : v;
      }
    forward_from<0>(weights);
  }

  void backward(const Weights& weights, Gradients* gradients) {
    backward_from<LAYERS - 1>(weights, gradients);
  }

 private:
  static constexpr int N = vectors(PIXELS);

  auto& last() { return std::get<LAYERS - 1>(layers_); }
  const auto& last() const { return std::get<LAYERS - 1>(layers_); }

  // Where layer I's input stands, as pixels.
  template <int I>
  Pixels input() {
    if constexpr (I < CONVOLUTIONS) return std::get<I>(layers_).input();
    else {
      using S = typename At<Denses, I - CONVOLUTIONS>::type;
      return {std::get<I>(layers_).input, S::CHANNELS, S::ROW};
    }
  }

  template <int I>
  void forward_from(const Weights& weights) {
    if constexpr (I < LAYERS) {
      auto& layer = std::get<I>(layers_);
      {
        Stage stage(I + 1, STAGE_FORWARD);
        if constexpr (I < CONVOLUTIONS) layer.forward(std::get<I>(weights), input<I + 1>());
        else layer.forward(std::get<I>(weights));
      }
      if constexpr (I >= CONVOLUTIONS && I + 1 < LAYERS)
        std::memcpy(std::get<I + 1>(layers_).input, layer.output, sizeof layer.output);
      forward_from<I + 1>(weights);
    }
  }

  // Layer I has the gradient of its output: a dense layer in `output`, a convolution in up_.
  template <int I>
  void backward_from(const Weights& weights, Gradients* gradients) {
    if constexpr (I >= 0) {
      constexpr bool LOWEST = I == 0;
      auto& layer = std::get<I>(layers_);
      const auto& w = std::get<I>(weights);
      {
        Stage stage(I + 1, STAGE_BACKWARD);
        if constexpr (I < CONVOLUTIONS) layer.gate(input<I + 1>(), upper<I>());
        else layer.gate();
        if constexpr (TRAIN) layer.add_gradient(&std::get<I>(*gradients));
        if constexpr (!(TRAIN && LOWEST)) {
          if constexpr (I < CONVOLUTIONS) layer.backward(w, lower<I>());
          else if constexpr (I > CONVOLUTIONS) {
            layer.backward(w, below_);
            auto& to = std::get<I - 1>(layers_).output;
            std::memcpy(to, below_, sizeof to);
          } else layer.backward(w, below_);
        }
      }
      swap_ ^= 1;
      backward_from<I - 1>(weights, gradients);
    } else if constexpr (!TRAIN) {
      const float* from = CONVOLUTIONS ? planes_[swap_ ^ 1] : below_;
      for (int i = 0; i < PIXELS; i++)
        gradient_[i] = NORMALIZED ? SCALE[i % CHANNELS] * from[i] : from[i];
    }
  }

  // The gradient of convolution I's output: of the dense layer's inputs, or a plane.
  template <int I>
  Pixels upper() {
    using S = typename At<Convolutions, I>::type;
    if constexpr (I == CONVOLUTIONS - 1) return {below_, S::CO, S::WO * S::CO};
    else return {planes_[swap_ ^ 1], vectors(S::CO) * LANES, S::WO * vectors(S::CO) * LANES};
  }

  // Where the gradient of its input goes; of the image's, pixels stand close together.
  template <int I>
  Pixels lower() {
    using S = typename At<Convolutions, I>::type;
    constexpr int stride = I == 0 ? S::CI : vectors(S::CI) * LANES;
    return {planes_[swap_], stride, S::WI * stride};
  }

  template <int I = 0>
  static constexpr size_t largest_plane() {
    if constexpr (I < CONVOLUTIONS) {
      using S = typename At<Convolutions, I>::type;
      constexpr size_t mine = (size_t)S::HI * S::WI * vectors(S::CI) * LANES;
      constexpr size_t rest = largest_plane<I + 1>();
      return mine > rest ? mine : rest;
    } else return 1;
  }
  template <int I = CONVOLUTIONS>
  static constexpr size_t largest_dense() {
    if constexpr (I < LAYERS) {
      constexpr size_t mine = ImageDense<typename At<Denses, I - CONVOLUTIONS>::type>::PADDED;
      constexpr size_t rest = largest_dense<I + 1>();
      return mine > rest ? mine : rest;
    } else return 1;
  }

  static void by_pixel(const float* in, float* out) {
    for (int c = 0; c < CHANNELS; c++)
      for (int p = 0; p < HEIGHT * COLUMNS; p++) out[p * CHANNELS + c] = in[c * HEIGHT * COLUMNS + p];
  }
  static void by_channel(const float* in, float* out) {
    for (int c = 0; c < CHANNELS; c++)
      for (int p = 0; p < HEIGHT * COLUMNS; p++) out[c * HEIGHT * COLUMNS + p] = in[p * CHANNELS + c];
  }

  alignas(64) float image_[N * LANES], centre_[N * LANES], gradient_[N * LANES];
  // Gradients between layers: two planes by turns, and the dense layers' inputs.
  alignas(64) float planes_[2][largest_plane() + LANES];
  alignas(64) float below_[largest_dense() + LANES];
  int swap_ = 0;
  Network::Layers layers_;
};
