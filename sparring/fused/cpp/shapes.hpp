// The shapes of layers, as types: the generated header names one for each layer of the network.
#pragma once

#include <cstddef>
#include <type_traits>

enum class Algorithm { direct, winograd };

template <int IN_CHANNELS, int HEIGHT, int WIDTH, int OUT_CHANNELS, int KERNEL, int PADDING,
          bool RELU_, bool POOL_, Algorithm ALGORITHM_>
struct Convolution {
  static constexpr int CI = IN_CHANNELS, HI = HEIGHT, WI = WIDTH, CO = OUT_CHANNELS, K = KERNEL;
  static constexpr int P = PADDING;
  static constexpr bool RELU = RELU_, POOL = POOL_;
  static constexpr Algorithm ALGORITHM = ALGORITHM_;
  // Before pooling, and after it.
  static constexpr int HC = HI + 2 * P - K + 1, WC = WI + 2 * P - K + 1;
  static constexpr int HO = POOL ? HC / 2 : HC, WO = POOL ? WC / 2 : WC;
  static constexpr size_t WEIGHTS = (size_t)CO * CI * K * K;
  static constexpr int BIASES = CO;
};

// A dense layer whose inputs come in ROWS rows of COLUMNS pixels of CHANNELS channels; a layer
// behind another dense layer has one row and one channel. PHASE: the side of the tiles in which the
// layer before hands its pixels on, 1 if it does not.
template <int ROWS_, int COLUMNS_, int CHANNELS_, int PHASE_, int OUTPUTS, bool RELU_>
struct Dense {
  static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, CHANNELS = CHANNELS_, J = OUTPUTS;
  static constexpr int PHASE = PHASE_;
  static constexpr int ROW = COLUMNS * CHANNELS, INPUTS = ROWS * ROW;
  static constexpr bool RELU = RELU_;
  static constexpr size_t WEIGHTS = (size_t)INPUTS * J;
  static constexpr int BIASES = J;
};

template <class... Shapes>
struct List {
  static constexpr int SIZE = sizeof...(Shapes);
};

template <class L, int I>
struct At;
template <class First, class... Rest, int I>
struct At<List<First, Rest...>, I> : At<List<Rest...>, I - 1> {};
template <class First, class... Rest>
struct At<List<First, Rest...>, 0> {
  using type = First;
};
