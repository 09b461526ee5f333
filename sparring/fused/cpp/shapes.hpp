// The shapes of layers, as types: the generated header names one for each layer of the network.
#pragma once

#include <cstddef>
#include <type_traits>

constexpr int NO_VALUE = -2;  // what a layer of one input takes besides

// As it is written down, or by Winograd tiles of so many points along a side.
enum class Algorithm { direct = 0, winograd5 = 5, winograd6 = 6, winograd7 = 7, winograd8 = 8 };

// The last of `windows` windows that ends at row y of `rows` or above it, or below the image if y is
// its last row; -1 if none does.
constexpr int last_window(int y, int rows, int windows, int kernel, int stride, int padding) {
  int room = y + padding - (kernel - 1);
  return y == rows - 1 ? windows - 1 : room < 0 ? -1 : room / stride;
}

template <int IN_CHANNELS, int HEIGHT, int WIDTH, int OUT_CHANNELS, int KERNEL, int PADDING,
          bool RELU_, bool POOL_, Algorithm ALGORITHM_, int STRIDE_ = 1>
struct Convolution {
  static constexpr int CI = IN_CHANNELS, HI = HEIGHT, WI = WIDTH, CO = OUT_CHANNELS, K = KERNEL;
  static constexpr int P = PADDING, STRIDE = STRIDE_;
  // As a `AnyConvolution` has them.
  static constexpr int KH = K, KW = K, SH = STRIDE, SW = STRIDE, PH = P, PW = P, DH = 1, DW = 1;
  static constexpr int GROUPS = 1, REACH_ROWS = K, REACH_COLUMNS = K;
  static constexpr bool RELU = RELU_, POOL = POOL_;
  static constexpr int POINTS = (int)ALGORITHM_;
  static constexpr bool TILED = POINTS > 0;
  // Before pooling, and after it.
  static constexpr int HC = (HI + 2 * P - K) / STRIDE + 1, WC = (WI + 2 * P - K) / STRIDE + 1;
  static constexpr int HO = POOL ? HC / 2 : HC, WO = POOL ? WC / 2 : WC;
  static constexpr size_t WEIGHTS = (size_t)CO * CI * K * K;
  static constexpr int BIASES = CO;
  // The last row before pooling that needs none of the input's rows below y.
  static constexpr int last_row(int y) { return last_window(y, HI, HC, K, STRIDE, P); }
};

// Any other convolution: rows and columns each have a kernel, stride, padding and dilation; outputs of
// a group see the inputs of that group alone.
template <int IN_CHANNELS, int HEIGHT, int WIDTH, int OUT_CHANNELS, int KERNEL_ROWS,
          int KERNEL_COLUMNS, int STRIDE_ROWS, int STRIDE_COLUMNS, int PADDING_ROWS,
          int PADDING_COLUMNS, int DILATION_ROWS, int DILATION_COLUMNS, int GROUPS_, bool RELU_,
          bool POOL_>
struct AnyConvolution {
  static constexpr int CI = IN_CHANNELS, HI = HEIGHT, WI = WIDTH, CO = OUT_CHANNELS;
  static constexpr int KH = KERNEL_ROWS, KW = KERNEL_COLUMNS, SH = STRIDE_ROWS, SW = STRIDE_COLUMNS;
  static constexpr int PH = PADDING_ROWS, PW = PADDING_COLUMNS;
  static constexpr int DH = DILATION_ROWS, DW = DILATION_COLUMNS, GROUPS = GROUPS_;
  static constexpr bool RELU = RELU_, POOL = POOL_;
  // From the first pixel under the kernel to the last.
  static constexpr int REACH_ROWS = (KH - 1) * DH + 1, REACH_COLUMNS = (KW - 1) * DW + 1;
  static constexpr int HC = (HI + 2 * PH - REACH_ROWS) / SH + 1;
  static constexpr int WC = (WI + 2 * PW - REACH_COLUMNS) / SW + 1;
  static constexpr int HO = POOL ? HC / 2 : HC, WO = POOL ? WC / 2 : WC;
  static constexpr size_t WEIGHTS = (size_t)CO * (CI / GROUPS) * KH * KW;
  static constexpr int BIASES = CO;
  static constexpr int last_row(int y) { return last_window(y, HI, HC, REACH_ROWS, SH, PH); }
};

// How many windows of a pooling there are along a side. With `ceil` the last may reach beyond the
// padding, but not begin there.
constexpr int pooled(int size, int kernel, int stride, int padding, bool ceil) {
  int count = (size + 2 * padding - kernel + (ceil ? stride - 1 : 0)) / stride + 1;
  return ceil && (count - 1) * stride >= size + padding ? count - 1 : count;
}

// Pooling as a layer of its own: the mean of each window, or its maximum. Of a mean, PADDING_COUNTS
// tells whether it is that of the padding, too.
template <bool MEAN_, int CHANNELS, int HEIGHT, int WIDTH, int KERNEL_ROWS, int KERNEL_COLUMNS,
          int STRIDE_ROWS, int STRIDE_COLUMNS, int PADDING_ROWS, int PADDING_COLUMNS,
          bool PADDING_COUNTS_, bool CEIL = false>
struct Pooling {
  static constexpr bool MEAN = MEAN_, PADDING_COUNTS = PADDING_COUNTS_;
  static constexpr int C = CHANNELS, CO = C, HI = HEIGHT, WI = WIDTH, KH = KERNEL_ROWS, KW = KERNEL_COLUMNS;
  static constexpr int SH = STRIDE_ROWS, SW = STRIDE_COLUMNS, PH = PADDING_ROWS, PW = PADDING_COLUMNS;
  static constexpr int HO = pooled(HI, KH, SH, PH, CEIL), WO = pooled(WI, KW, SW, PW, CEIL);
  static constexpr size_t WEIGHTS = 0;
  static constexpr int BIASES = 0;
  static constexpr int last_row(int y) { return last_window(y, HI, HO, KH, SH, PH); }
};

// An activation as a layer of its own.
template <class CURVE_, int CHANNELS, int HEIGHT, int WIDTH>
struct Activation {
  using CURVE = CURVE_;
  static constexpr int C = CHANNELS, CO = C, HI = HEIGHT, WI = WIDTH, HO = HI, WO = WI;
  static constexpr size_t WEIGHTS = 0;
  static constexpr int BIASES = 0;
};

// The sum of two values, then ReLU if wanted.
template <int CHANNELS, int HEIGHT, int WIDTH, bool RELU_>
struct Addition {
  static constexpr int C = CHANNELS, CO = C, HI = HEIGHT, WI = WIDTH, HO = HI, WO = WI;
  static constexpr bool RELU = RELU_;
  static constexpr size_t WEIGHTS = 0;
  static constexpr int BIASES = 0;
};

// Each channel times a number and plus one, then ReLU if wanted.
template <int CHANNELS, int HEIGHT, int WIDTH, bool RELU_>
struct Affine {
  static constexpr int C = CHANNELS, CO = C, HI = HEIGHT, WI = WIDTH, HO = HI, WO = WI;
  static constexpr bool RELU = RELU_;
  static constexpr size_t WEIGHTS = C;
  static constexpr int BIASES = C;
};

// Zeros around an image: rows, columns, and whole channels before and after its own.
template <int CHANNELS, int HEIGHT, int WIDTH, int TOP_, int BOTTOM_, int LEFT_, int RIGHT_,
          int BEFORE_, int AFTER_>
struct Padding {
  static constexpr int C = CHANNELS, HI = HEIGHT, WI = WIDTH, TOP = TOP_, BOTTOM = BOTTOM_;
  static constexpr int LEFT = LEFT_, RIGHT = RIGHT_, BEFORE = BEFORE_, AFTER = AFTER_;
  static constexpr int CO = BEFORE + C + AFTER, HO = TOP + HI + BOTTOM, WO = LEFT + WI + RIGHT;
  static constexpr size_t WEIGHTS = 0;
  static constexpr int BIASES = 0;
};

// A dense layer whose inputs come in ROWS rows of COLUMNS pixels of CHANNELS channels; a layer
// behind another dense layer has one row and one channel. PHASE: the side of the tiles in which the
// layer before hands its pixels on, 1 if it does not. CURVE: an activation
// other than ReLU.
template <int ROWS_, int COLUMNS_, int CHANNELS_, int PHASE_, int OUTPUTS, bool RELU_,
          class CURVE_ = void>
struct Dense {
  using CURVE = CURVE_;
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
