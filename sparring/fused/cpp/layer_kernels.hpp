// The kernels of the network's layers: what computes each, with its weights and what it keeps, and where its
// rows meet others.
#pragma once

#include <algorithm>
#include <tuple>
#include <utility>

#include "addition_layer.hpp"
#include "affine_layer.hpp"
#include "curve_layer.hpp"
#include "dense_layer.hpp"
#include "direct_convolution.hpp"
#include "general_convolution.hpp"
#include "graph.hpp"
#include "layers.hpp"
#include "padding_layer.hpp"
#include "pooling_layer.hpp"
#include "sections.hpp"
#include "strided_tiles.hpp"
#include "winograd_convolution.hpp"

// What computes a layer of `Convolutions`.
template <class S>
struct RowLayer {
  using type = PoolingLayer<S>;
};
template <int CI, int HI, int WI, int CO, int K, int P, bool RELU, bool POOL, Algorithm A, int STRIDE>
struct RowLayer<Convolution<CI, HI, WI, CO, K, P, RELU, POOL, A, STRIDE>> {
  using S = Convolution<CI, HI, WI, CO, K, P, RELU, POOL, A, STRIDE>;
  using Plain = std::conditional_t<STRIDE == 1, DirectConvolution<S>, GeneralConvolution<S>>;
  using Tiles = std::conditional_t<STRIDE == 1, WinogradConvolution<S>, StridedTiles<S>>;
  using type = std::conditional_t<S::TILED, Tiles, Plain>;
};
template <class CURVE, int C, int HI, int WI>
struct RowLayer<Activation<CURVE, C, HI, WI>> {
  using type = CurveLayer<Activation<CURVE, C, HI, WI>>;
};
template <int CI, int HI, int WI, int CO, int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW,
          int GROUPS, bool RELU, bool POOL>
struct RowLayer<AnyConvolution<CI, HI, WI, CO, KH, KW, SH, SW, PH, PW, DH, DW, GROUPS, RELU, POOL>> {
  using type = GeneralConvolution<
      AnyConvolution<CI, HI, WI, CO, KH, KW, SH, SW, PH, PW, DH, DW, GROUPS, RELU, POOL>>;
};
template <int C, int HI, int WI, bool RELU>
struct RowLayer<Addition<C, HI, WI, RELU>> {
  using type = AdditionLayer<Addition<C, HI, WI, RELU>>;
};
template <int C, int HI, int WI, bool RELU>
struct RowLayer<Affine<C, HI, WI, RELU>> {
  using type = AffineLayer<Affine<C, HI, WI, RELU>>;
};
template <int C, int HI, int WI, int... SIDES>
struct RowLayer<Padding<C, HI, WI, SIDES...>> {
  using type = PaddingLayer<Padding<C, HI, WI, SIDES...>>;
};
template <class S>
using ConvolutionOf = typename RowLayer<S>::type;

// What goes through layer number I of shape S.
template <bool TRAIN, int I, class S>
struct LayerOf {
  using type = typename ConvolutionOf<S>::template Layer<TRAIN>;
};
template <int I, int C, int HI, int WI, bool RELU>
struct LayerOf<false, I, Addition<C, HI, WI, RELU>> {
  using Sum = AdditionLayer<Addition<C, HI, WI, RELU>>;
  using type = std::conditional_t<standing(I) >= 0, typename Sum::Beside, typename Sum::template Layer<false>>;
};

// Whether what goes through a layer can `put` the numbers of its rows into a sum.
template <class L, class = void>
struct Puts : std::false_type {};
template <class L>
struct Puts<L, std::enable_if_t<L::PUTS>> : std::true_type {};

// Whether it can take rows where they stand, rather than in its slots.
template <class L, class = void>
struct Takes : std::false_type {};
template <class L>
struct Takes<L, std::enable_if_t<L::TAKES>> : std::true_type {};

template <class ConvolutionList, class Numbers, class DenseList>
struct Parts;
template <class... C, int... I, class... D>
struct Parts<List<C...>, std::integer_sequence<int, I...>, List<D...>> {
  using Weights =
      std::tuple<typename ConvolutionOf<C>::Weights..., typename DenseLayer<D>::Weights...>;
  using Gradients = std::tuple<typename ConvolutionOf<C>::Gradient..., typename DenseLayer<D>::Gradient...>;
  template <bool TRAIN, int BLOCKS>
  using Layers = std::tuple<typename LayerOf<TRAIN, I, C>::type...,
                            typename DenseLayer<D>::template Layer<TRAIN, BLOCKS>...>;
  // What a block leaves in the layers for its way back.
  template <bool TRAIN>
  using Kept = std::tuple<typename LayerOf<TRAIN, I, C>::type::Kept...>;
};
using Network = Parts<Convolutions, std::make_integer_sequence<int, CONVOLUTIONS>, Denses>;

// Rows of value V, and the numbers of each. Without convolutions the whole image is one row.
template <int V>
struct RowsOf {
  using S = typename At<Convolutions, V>::type;
  static constexpr int COUNT = S::HO, ROW = S::WO * S::CO;
  // If it is whole, a pixel of zeros is on both sides of each row.
  static constexpr int SIDE = S::CO, STEP = ROW + SIDE, WHOLE = SIDE + COUNT * STEP;
};
template <>
struct RowsOf<-1> {
  static constexpr int COUNT = CONVOLUTIONS ? HEIGHT : 1, ROW = PIXELS / COUNT, WHOLE = 1;
};

// Where the gradients of value V meet, if it is taken twice: row by row, or in its place if it is whole. Its
// part from an addition is there first then, since the other one is made of it.
struct NoJoin {};
template <bool WHOLE, int V>
struct JoinOf {
  static constexpr int COUNT = RowsOf<V>::COUNT;
  using Rows = std::conditional_t<WHOLE, Meeting<COUNT>, Join<COUNT, RowsOf<V>::ROW>>;
  static constexpr bool NEEDED = takers(V) == 2 && !(WHOLE && is_addition(taker(V, 0).layer));
  using type = std::conditional_t<NEEDED, Rows, NoJoin>;
};
template <bool TRAIN, class Numbers>
struct JoinsOf;
template <bool TRAIN, int... N>
struct JoinsOf<TRAIN, std::integer_sequence<int, N...>> {
  using type = std::tuple<typename JoinOf<!TRAIN && cut(N - 1), N - 1>::type...>;
  // Numbers of the largest whole value.
  static constexpr int LARGEST =
      std::max({1, (!TRAIN && cut(N - 1) ? RowsOf<N - 1>::WHOLE : 1)...});
};
