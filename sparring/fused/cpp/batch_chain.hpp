// The layers of the network joined: a block of LANES images up to its logits and back.
//
// Depth first: every layer hands each finished row on at once, so that a row is still in cache
// when the next layer reads it, forward and backward alike.
#pragma once

#include <tuple>
#include <utility>

#include "ascent.hpp"
#include "curve_layer.hpp"
#include "dense_layer.hpp"
#include "direct_convolution.hpp"
#include "layers.hpp"
#include "pooling_layer.hpp"
#include "strided_convolution.hpp"
#include "winograd_convolution.hpp"

// What computes a layer of `Convolutions`.
template <class S>
struct RowLayer {
  using type = PoolingLayer<S>;
};
template <int CI, int HI, int WI, int CO, int K, int P, bool RELU, bool POOL, Algorithm A, int STRIDE>
struct RowLayer<Convolution<CI, HI, WI, CO, K, P, RELU, POOL, A, STRIDE>> {
  using S = Convolution<CI, HI, WI, CO, K, P, RELU, POOL, A, STRIDE>;
  using Plain = std::conditional_t<A == Algorithm::winograd, WinogradConvolution<S>, DirectConvolution<S>>;
  using type = std::conditional_t<STRIDE == 1, Plain, StridedConvolution<S>>;
};
template <class CURVE, int C, int HI, int WI>
struct RowLayer<Activation<CURVE, C, HI, WI>> {
  using type = CurveLayer<Activation<CURVE, C, HI, WI>>;
};
template <class S>
using ConvolutionOf = typename RowLayer<S>::type;

template <class ConvolutionList, class DenseList>
struct Parts;
template <class... C, class... D>
struct Parts<List<C...>, List<D...>> {
  using Weights =
      std::tuple<typename ConvolutionOf<C>::Weights..., typename DenseLayer<D>::Weights...>;
  using Gradients = std::tuple<typename ConvolutionOf<C>::Gradient..., typename DenseLayer<D>::Gradient...>;
  template <bool TRAIN>
  using Layers = std::tuple<typename ConvolutionOf<C>::template Layer<TRAIN>...,
                            typename DenseLayer<D>::template Layer<TRAIN>...>;
};
using Network = Parts<Convolutions, Denses>;

// One thread's state for one block of images. TRAIN keeps what the weights' gradients need.
// All of it begins as zero bytes.
template <bool TRAIN>
class Chain {
 public:
  using Weights = Network::Weights;
  using Gradients = Network::Gradients;
  static constexpr int WIDTH = LANES;  // images in a block

  // Takes images first.. of n, (channel, row, column) each, and what an attack stays close to.
  // Lanes without an image repeat the last, so that they stay finite.
  void load(const float* images, int64_t n, int64_t first) { to_lanes(images, n, first, image_); }
  void load_centre(const float* images, int64_t n, int64_t first) {
    to_lanes(images, n, first, centre_);
  }
  void store(float* images, int64_t n, int64_t first) const { from_lanes(image_, images, n, first); }
  void store_gradient(float* images, int64_t n, int64_t first) const {
    from_lanes(gradient_, images, n, first);
  }
  float logit(int c, int lane) const { return std::get<LAYERS - 1>(layers_).value[c][lane]; }
  void set_logit(int c, int lane, float z) { std::get<LAYERS - 1>(layers_).value[c][lane] = z; }

  // A step along the gradient that `backward` left.
  void ascend(const Settings& settings) {
    step<PIXELS, ImagesInLanes>(settings, gradient_, centre_, image_);
  }

  // Images to logits.
  void forward(const Network::Weights& weights) {
    weights_ = &weights;
    first_dense().begin(std::get<CONVOLUTIONS>(weights));
    // Without convolutions the whole image is one row.
    constexpr int ROWS = CONVOLUTIONS ? HEIGHT : 1, ROW = PIXELS / ROWS;
    for (int y = 0; y < ROWS; y++) {
      Vec* slot = std::get<0>(layers_).slot(y);
      for (int i = 0; i < ROW; i++)
        slot[i] = NORMALIZED ? SCALE[i % CHANNELS] * image_[y * ROW + i] + SHIFT[i % CHANNELS]
                             : image_[y * ROW + i];
      forward_row<0>(y);
    }
    forward_denses<0>();
  }

  // From the gradient by the logits, in their place, to that by the image, or by the weights.
  void backward(const Weights& weights, Gradients* gradients) {
    weights_ = &weights;
    gradients_ = gradients;
    backward_denses<DENSES - 1>();
  }

 private:
  auto& first_dense() { return std::get<CONVOLUTIONS>(layers_); }

  template <int I>
  struct Below {
    Chain& chain;
    Vec* slot(int y) const { return std::get<I>(chain.layers_).slot(y); }
    void arrived(int y) const { chain.template forward_row<I>(y); }
  };

  template <int I>
  struct Above {
    static constexpr bool WANTED = I >= 0 || !TRAIN;
    Chain& chain;
    void arrived(int y, const Vec* row) const { chain.template backward_row<I>(y, row); }
  };

  template <int I>
  void forward_row(int y) {
    Stage stage(I + 1, STAGE_FORWARD);
    if constexpr (I < CONVOLUTIONS)
      std::get<I>(layers_).forward(y, std::get<I>(*weights_), Below<I + 1>{*this});
    else
      std::get<I>(layers_).arrived(y, std::get<I>(*weights_));
  }

  template <int D>
  void forward_denses() {
    constexpr int I = CONVOLUTIONS + D;
    auto& layer = std::get<I>(layers_);
    layer.finish();
    if constexpr (D + 1 < DENSES) {
      auto& next = std::get<I + 1>(layers_);
      next.begin(std::get<I + 1>(*weights_));
      std::memcpy((void*)next.slot(0), (const void*)layer.value, sizeof layer.value);
      forward_row<I + 1>(0);
      forward_denses<D + 1>();
    }
  }

  template <int D>
  void backward_denses() {
    constexpr int I = CONVOLUTIONS + D;
    using S = typename At<Denses, D>::type;
    auto& layer = std::get<I>(layers_);
    typename DenseLayer<S>::Gradient* gradient = nullptr;
    if constexpr (TRAIN) gradient = &std::get<I>(*gradients_);
    layer.begin_backward(gradient);
    for (int y = 0; y < S::ROWS; y++) {
      {
        Stage stage(I + 1, STAGE_BACKWARD);
        if constexpr (TRAIN) layer.gradient_row(y, gradient);
        if constexpr (D > 0)
          layer.backward_row(0, std::get<I>(*weights_), std::get<I - 1>(layers_).value);
        else if constexpr (Above<I - 1>::WANTED)
          layer.backward_row(y, std::get<I>(*weights_), row_);
      }
      if constexpr (D == 0 && Above<I - 1>::WANTED) backward_row<I - 1>(y, row_);
    }
    if constexpr (D > 0) backward_denses<D - 1>();
  }

  template <int I>
  void backward_row(int y, const Vec* row) {
    if constexpr (I >= 0) {
      Stage stage(I + 1, STAGE_BACKWARD);
      using S = typename At<Convolutions, I>::type;
      typename ConvolutionOf<S>::Gradient* gradient = nullptr;
      if constexpr (TRAIN) gradient = &std::get<I>(*gradients_);
      std::get<I>(layers_).backward(y, row, std::get<I>(*weights_), gradient,
                                    Above<I - 1>{*this});
    } else {
      constexpr int ROW = PIXELS / (CONVOLUTIONS ? HEIGHT : 1);
      for (int i = 0; i < ROW; i++)
        gradient_[y * ROW + i] = NORMALIZED ? SCALE[i % CHANNELS] * row[i] : row[i];
    }
  }

  static void to_lanes(const float* images, int64_t n, int64_t first, Vec* out) {
    for (int lane = 0; lane < LANES; lane++) {
      const float* from = images + (first + lane < n ? first + lane : n - 1) * PIXELS;
      for (int c = 0; c < CHANNELS; c++)
        for (int p = 0; p < HEIGHT * COLUMNS; p++)
          out[p * CHANNELS + c][lane] = from[c * HEIGHT * COLUMNS + p];
    }
  }

  static void from_lanes(const Vec* in, float* images, int64_t n, int64_t first) {
    for (int lane = 0; lane < LANES && first + lane < n; lane++) {
      float* to = images + (first + lane) * PIXELS;
      for (int c = 0; c < CHANNELS; c++)
        for (int p = 0; p < HEIGHT * COLUMNS; p++)
          to[c * HEIGHT * COLUMNS + p] = in[p * CHANNELS + c][lane];
    }
  }

  Vec image_[PIXELS], centre_[PIXELS];  // [row][column][channel]
  Vec gradient_[PIXELS];                // of the objective, by the image
  const Network::Weights* weights_;
  Network::Gradients* gradients_;
  typename Network::template Layers<TRAIN> layers_;
  Vec row_[At<Denses, 0>::type::ROW];  // of the gradient, below the first dense layer
};
