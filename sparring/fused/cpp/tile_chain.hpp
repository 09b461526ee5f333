// The layers of the network joined, for a few images with places of one image in the lanes.
//
// The images of a block go through the convolutions one after the other, and through the dense
// layers together: those have weights enough to be worth reading once for all.
#pragma once

#include <array>
#include <tuple>

#include "ascent.hpp"
#include "layers.hpp"
#include "tile_dense.hpp"
#include "tile_direct.hpp"
#include "tile_winograd.hpp"

template <class S>
using TileConvolution = std::conditional_t<S::TILED, TileWinograd<S>, TileDirect<S>>;

// Where the inputs of the first dense layer stand: as the last convolution leaves them.
template <class D, int CONVOLUTION>
struct FromConvolution {
  using S = typename At<Convolutions, CONVOLUTION>::type;
  using L = TileConvolution<S>;
  static constexpr bool TILES = S::TILED;
  static constexpr bool GATED = S::RELU;
  static constexpr int COUNT = [] {
    if constexpr (TILES) return L::TILES;
    else return S::CO * S::HO * S::WO;
  }();
  static constexpr int REGION = COUNT / S::CO;
  static int row(int p) {
    int c = p / REGION, rest = p % REGION;
    if constexpr (TILES) {
      int lane = rest % L::T, j = rest / L::T % L::MP, i = rest / L::T / L::MP;
      if (!L::is_pixel(i, j, lane)) return -1;
      return DenseRows<D>::row(L::pixel_y(i, lane), L::pixel_x(j, lane), c);
    } else {
      return DenseRows<D>::row(rest / S::WO, rest % S::WO, c);
    }
  }
};
// Or as they are in the image, [channel][row][column], all of it one row.
template <class D>
struct FromConvolution<D, -1> {
  static constexpr bool TILES = false, GATED = false;
  static constexpr int COUNT = PIXELS, REGION = PIXELS;
  static int row(int p) {
    return DenseRows<D>::row(0, p % (HEIGHT * COLUMNS), p / (HEIGHT * COLUMNS));
  }
};
// Or as the dense layer before leaves its outputs.
template <class D, bool RELU>
struct FromDense {
  static constexpr bool GATED = RELU;
  static constexpr int COUNT = D::INPUTS, REGION = D::INPUTS;
  static int row(int p) { return DenseRows<D>::row(0, p, 0); }
};

template <int D>
struct DenseNumber {
  using S = typename At<Denses, D>::type;
  using Below = typename At<Denses, (D > 0 ? D - 1 : 0)>::type;
  using type = std::conditional_t<D == 0, TileDense<S, FromConvolution<S, CONVOLUTIONS - 1>>,
                                  TileDense<S, FromDense<S, Below::RELU>>>;
};

template <class ConvolutionNumbers, class DenseNumbers>
struct TileParts;
template <int... C, int... D>
struct TileParts<std::integer_sequence<int, C...>, std::integer_sequence<int, D...>> {
  template <int I>
  using Of = TileConvolution<typename At<Convolutions, I>::type>;
  using Weights = std::tuple<typename Of<C>::Weights..., typename DenseNumber<D>::type::Weights...>;
  using Gradients =
      std::tuple<typename Of<C>::Gradient..., typename DenseNumber<D>::type::Gradient...>;
  // Of each dense layer, of each group of images.
  using Lists = std::tuple<
      std::array<typename DenseNumber<D>::type::List, DenseNumber<D>::type::GROUPS>...>;
  using OwnLists = std::tuple<typename DenseNumber<D>::type::OwnLists...>;
  template <bool TRAIN>
  using Layers = std::tuple<typename Of<C>::template Layer<TRAIN>...>;
  template <bool TRAIN>
  using States =
      std::tuple<typename Of<C>::template State<TRAIN>..., typename DenseNumber<D>::type::State...>;
};
using Network = TileParts<std::make_integer_sequence<int, CONVOLUTIONS>,
                          std::make_integer_sequence<int, DENSES>>;

// One thread's state for a block of images. All of it begins as zero bytes.
template <bool TRAIN>
class Chain {
 public:
  using Weights = Network::Weights;
  using Gradients = Network::Gradients;
  static constexpr int WIDTH = TILE_BLOCK;  // images in a block, at most

  // Takes images first.. of those before n, WIDTH at most.
  void load(const float* images, int64_t n, int64_t first) {
    count_ = (int)(n - first < WIDTH ? n - first : WIDTH);
    for (int b = 0; b < count_; b++)
      std::memcpy(image_[b].pixels, images + (first + b) * PIXELS, PIXELS * sizeof(float));
  }
  void load_centre(const float* images, int64_t, int64_t first) {
    for (int b = 0; b < count_; b++)
      std::memcpy(image_[b].centre, images + (first + b) * PIXELS, PIXELS * sizeof(float));
  }
  void store(float* images, int64_t, int64_t first) const {
    for (int b = 0; b < count_; b++)
      std::memcpy(images + (first + b) * PIXELS, image_[b].pixels, PIXELS * sizeof(float));
  }
  void store_gradient(float* images, int64_t, int64_t first) const {
    for (int b = 0; b < count_; b++)
      std::memcpy(images + (first + b) * PIXELS, image_[b].gradient, PIXELS * sizeof(float));
  }
  int lanes() const { return count_; }  // images that there are
  float logit(int c, int b) const { return image_[b].logits[c]; }
  void set_logit(int c, int b, float z) { image_[b].logits[c] = z; }

  void ascend(const Settings& settings) {
    for (int b = 0; b < count_; b++) {
      Image& s = image_[b];
      for (int i = PIXELS; i < N * LANES; i++) {  // no pixels: they must not count as distance
        s.pixels[i] = s.centre[i] = settings.low;
        s.gradient[i] = 0.0f;
      }
      step<N, PixelsInLanes>(settings, reinterpret_cast<Vec*>(s.gradient),
                             reinterpret_cast<const Vec*>(s.centre),
                             reinterpret_cast<Vec*>(s.pixels));
    }
  }

  void forward(const Weights& weights) {
    for (int b = 0; b < count_; b++) {
      begin(image_[b]);
      convolve<0>(image_[b], weights);
    }
    forward_dense<0>(weights);
  }

  // From the gradient by the logits, in their place, to that by the image, or by the weights.
  void backward(const Weights& weights, Gradients* gradients) {
    backward_dense<DENSES - 1>(weights, gradients);
    if constexpr (CONVOLUTIONS > 0)
      for (int b = count_ - 1; b >= 0; b--)
        convolve_back<CONVOLUTIONS - 1>(image_[b], weights, gradients);
    if constexpr (!TRAIN)
      for (int b = 0; b < count_; b++) end(image_[b]);
  }

 private:
  static constexpr int N = vectors(PIXELS), AREA = HEIGHT * COLUMNS;
  static constexpr int LAST = DENSES - 1;
  template <int D>
  using Dense_ = typename DenseNumber<D>::type;

  struct Image {
    alignas(64) float pixels[N * LANES], centre[N * LANES], gradient[N * LANES + LANES];
    alignas(64) float logits[Dense_<LAST>::HIDDEN];
    Network::template States<TRAIN> states;
  };

  template <int D>
  auto& dense_state(Image& s) {
    return std::get<CONVOLUTIONS + D>(s.states);
  }

  // Planes between convolutions, of values and later of gradients, each with a row's padding in
  // front and whole vectors behind.
  template <int I>
  static constexpr size_t plane_size() {
    if constexpr (I < CONVOLUTIONS) {
      using S = typename At<Convolutions, I>::type;
      using L = TileConvolution<S>;
      constexpr size_t mine = (size_t)S::CI * S::HI * L::UP_ROW + L::UP_X + L::SPACE + 64 * LANES;
      constexpr size_t rest = plane_size<I + 1>();
      return mine > rest ? mine : rest;
    } else return 1;
  }
  template <int I>
  static constexpr size_t tile_size() {
    if constexpr (I < CONVOLUTIONS) {
      using S = typename At<Convolutions, I>::type;
      constexpr size_t rest = tile_size<I + 1>();
      if constexpr (S::TILED) {
        constexpr size_t mine = TileWinograd<S>::TILES;
        return mine > rest ? mine : rest;
      } else return rest;
    } else return LANES;
  }

  // The image, normalised, to the first layer.
  template <int FIRST = 0>
  void begin(Image& s) {
    auto put = [&](int c, auto&& row_of) {
      for (int y = 0; y < HEIGHT; y++) {
        float* to = row_of(y);
        const float* from = s.pixels + c * AREA + y * COLUMNS;
        for (int x = 0; x < COLUMNS; x++) to[x] = NORMALIZED ? SCALE[c] * from[x] + SHIFT[c] : from[x];
      }
    };
    for (int c = 0; c < CHANNELS; c++) {
      if constexpr (CONVOLUTIONS > 0) {
        auto to = std::get<FIRST>(layers_).input(std::get<FIRST>(s.states));
        put(c, [&](int y) { return to.row(c, y); });
      } else {
        put(c, [&](int y) { return dense_state<0>(s).value + c * AREA + y * COLUMNS; });
      }
    }
  }

  template <int I>
  void convolve(Image& s, const Weights& weights) {
    if constexpr (I < CONVOLUTIONS) {
      using S = typename At<Convolutions, I>::type;
      using L = TileConvolution<S>;
      constexpr bool TILES = S::TILED, LAST_ONE = I == CONVOLUTIONS - 1;
      auto& layer = std::get<I>(layers_);
      auto& state = std::get<I>(s.states);
      const auto& w = std::get<I>(weights);
      {
        Stage stage(I + 1, STAGE_FORWARD);
        if constexpr (LAST_ONE && TILES) layer.forward(state, w, dense_state<0>(s).value);
        else if constexpr (LAST_ONE)
          layer.forward(state, w, Planes<S::HO * S::WO, S::WO>{dense_state<0>(s).value});
        else {
          auto next = std::get<(LAST_ONE ? 0 : I + 1)>(layers_).input(
              std::get<(LAST_ONE ? 0 : I + 1)>(s.states));
          if constexpr (TILES) {
            layer.forward(state, w, tiles_);
            L::to_planes(tiles_, next);
          } else {
            layer.forward(state, w, next);
          }
        }
      }
      convolve<I + 1>(s, weights);
    }
  }

  template <int D>
  void forward_dense(const Weights& weights) {
    if constexpr (D < DENSES) {
      using L = Dense_<D>;
      using S = typename At<Denses, D>::type;
      Stage stage(CONVOLUTIONS + D + 1, STAGE_FORWARD);
      const auto& w = std::get<CONVOLUTIONS + D>(weights);
      for (int b = 0; b < count_; b++) L::begin(w, out_[b]);
      auto& lists = std::get<D>(lists_);
      over_groups<D>([&](int group, int, auto size_, float* const* values) {
        L::template list<decltype(size_)::value>(values, lists[group], groups<D>() > 1);
      });
      const int step = groups<D>() > 1 ? 1 : L::REGIONS;
      for (int region = 0; region < L::REGIONS; region += step)
        over_groups<D>([&](int group, int first, auto size_, float* const* values) {
          constexpr int G = decltype(size_)::value;
          float* out[G];
          for (int g = 0; g < G; g++) out[g] = out_[first + g];
          if (group == 0)
            L::template forward<G, true>(values, lists[group], w, region, region + step, out);
          else L::template forward<G, false>(values, lists[group], w, region, region + step, out);
        });
      for (int b = 0; b < count_; b++) {
        float* to = output<D>(image_[b]);
        for (int v = 0; v < S::J; v += LANES) {
          Vec h = load_vec(out_[b] + v);
          store_vec(to + v, S::RELU ? keep(positive(h), h) : h);
        }
        for (int j = S::J; j < L::OUTPUTS; j++) to[j] = 0.0f;
      }
      forward_dense<D + 1>(weights);
    }
  }

  // Groups of images of nearly the same size, and each in turn: its first image, its size, and where
  // each image's inputs of dense layer D stand.
  template <int D>
  int groups() const {
    return (count_ + Dense_<D>::GROUP - 1) / Dense_<D>::GROUP;
  }
  template <int D, class Body>
  void over_groups(Body&& body) {
    const int many = groups<D>();
    for (int group = 0, first = 0; group < many; group++) {
      const int size = (count_ - first) / (many - group);
      float* values[Dense_<D>::GROUP];
      for (int g = 0; g < size; g++) values[g] = dense_state<D>(image_[first + g]).value;
      of_size<Dense_<D>::GROUP>(size, [&](auto size_) { body(group, first, size_, values); });
      first += size;
    }
  }
  template <int MOST, class Body>
  static void of_size(int size, Body&& body) {
    if constexpr (MOST > 1)
      if (size < MOST) return of_size<MOST - 1>(size, body);
    body(std::integral_constant<int, MOST>{});
  }

  // Where the outputs of dense layer D stand, and later their gradient.
  template <int D>
  float* output(Image& s) {
    if constexpr (D == LAST) return s.logits;
    else return dense_state<D + 1>(s).value;
  }

  template <int D>
  void backward_dense(const Weights& weights, Gradients* gradients) {
    if constexpr (D >= 0) {
      using L = Dense_<D>;
      {
        Stage stage(CONVOLUTIONS + D + 1, STAGE_BACKWARD);
        const auto& w = std::get<CONVOLUTIONS + D>(weights);
        if constexpr (TRAIN)
          std::get<CONVOLUTIONS + D>(*gradients).add(
              count_, [&](int b) -> auto& { return dense_state<D>(image_[b]); },
              [&](int b) { return output<D>(image_[b]); });
        auto& lists = std::get<D>(lists_);
        const int step = groups<D>() > 1 ? 1 : L::REGIONS;
        if constexpr (D > 0 || CONVOLUTIONS > 0 || !TRAIN)
          for (int region = L::REGIONS - step; region >= 0; region -= step)
            over_groups<D>([&](int group, int first, auto size_, float* const* values) {
              constexpr int G = decltype(size_)::value;
              const float* g[G];
              for (int i = 0; i < G; i++) g[i] = output<D>(image_[first + i]);
              auto& own = std::get<D>(own_lists_);
              if (group == 0)
                L::template backward<G, true>(values, lists[group], own, w, region, region + step, g);
              else
                L::template backward<G, false>(values, lists[group], own, w, region, region + step, g);
            });
      }
      backward_dense<D - 1>(weights, gradients);
    }
  }

  // Planes of the gradient of convolution I's input.
  template <int I>
  auto below() {
    using S = typename At<Convolutions, I>::type;
    using L = TileConvolution<S>;
    return Planes<S::HI * L::UP_ROW, L::UP_ROW>{planes_[I % 2] + LANES + L::UP_X};
  }

  // The gradient of the last convolution's output stands where the dense layer had it; that of the
  // others in planes.
  template <int I>
  void convolve_back(Image& s, const Weights& weights, Gradients* gradients) {
    if constexpr (I >= 0) {
      using S = typename At<Convolutions, I>::type;
      using L = TileConvolution<S>;
      constexpr bool TILES = S::TILED, LAST_ONE = I == CONVOLUTIONS - 1;
      constexpr bool WANTED = I > 0 || !TRAIN;
      auto& layer = std::get<I>(layers_);
      auto& state = std::get<I>(s.states);
      const auto& w = std::get<I>(weights);
      typename L::Gradient* gradient = nullptr;
      if constexpr (TRAIN) gradient = &std::get<I>(*gradients);
      {
        Stage stage(I + 1, STAGE_BACKWARD);
        if constexpr (TILES) {
          const float* up = dense_state<0>(s).value;
          if constexpr (!LAST_ONE) {
            layer.from_planes(state, below<(LAST_ONE ? I : I + 1)>(), tiles_);
            up = tiles_;
          }
          layer.template backward<WANTED>(state, up, w, gradient, below<I>());
        } else if constexpr (LAST_ONE) {
          layer.template backward<WANTED>(
              state, Planes<S::HO * S::WO, S::WO, const float>{dense_state<0>(s).value}, w, gradient,
              below<I>());
        } else {
          layer.template backward<WANTED>(state, below<(LAST_ONE ? I : I + 1)>(), w, gradient,
                                          below<I>());
        }
      }
      if constexpr (I == 0 && !TRAIN) {
        auto from = below<0>();
        for (int c = 0; c < CHANNELS; c++)
          for (int y = 0; y < HEIGHT; y++)
            std::memcpy(s.gradient + c * AREA + y * COLUMNS, from.row(c, y), COLUMNS * sizeof(float));
      }
      convolve_back<I - 1>(s, weights, gradients);
    }
  }

  // The gradient by the normalised image becomes that by the image.
  void end(Image& s) {
    if constexpr (CONVOLUTIONS == 0)
      std::memcpy(s.gradient, dense_state<0>(s).value, PIXELS * sizeof(float));
    if constexpr (NORMALIZED)
      for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < AREA; i++) s.gradient[c * AREA + i] *= SCALE[c];
  }

  template <int D = 0>
  static constexpr int widest() {
    if constexpr (D < DENSES) {
      constexpr int mine = Dense_<D>::HIDDEN, rest = widest<D + 1>();
      return mine > rest ? mine : rest;
    } else return 0;
  }

  int count_ = 0;
  Image image_[WIDTH];
  Network::Lists lists_;
  Network::OwnLists own_lists_;
  typename Network::template Layers<TRAIN> layers_;
  alignas(64) float planes_[2][plane_size<0>() + 2 * LANES];
  alignas(64) float tiles_[tile_size<0>()];
  alignas(64) float out_[WIDTH][widest()];
};
