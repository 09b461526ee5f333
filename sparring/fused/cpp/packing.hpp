// Between PyTorch's tensors and the packed space.
#pragma once

#include <cstring>
#include <type_traits>

#include "packed.hpp"

// A dense layer's weights, tensor[output][channel][row][column], and its rows.
template <class S>
class DensePacking {
 public:
  // Outputs beyond J become zero.
  static void pack(const float* tensor, float* packed) {
    over_strips([=](size_t from, size_t to, int count, auto stride_, auto width_) {
      constexpr int stride = decltype(stride_)::value, width = decltype(width_)::value;
      for (int x = 0; x < S::COLUMNS; x++) {
        const float* in = tensor + from + x;
        float row[width];
        if (count == width)
          UNROLL for (int j = 0; j < width; j++) row[j] = in[(size_t)j * S::INPUTS];
        else
          for (int j = 0; j < width; j++) row[j] = j < count ? in[(size_t)j * S::INPUTS] : 0.0f;
        std::memcpy(packed + to + (size_t)COLUMNS.place[x] * stride, row, sizeof row);
      }
    });
  }

  static void unpack(const float* packed, float* tensor) {
    over_strips([=](size_t from, size_t to, int count, auto stride_, auto width_) {
      constexpr int stride = decltype(stride_)::value, width = decltype(width_)::value;
      for (int x = 0; x < S::COLUMNS; x++) {
        float* out = tensor + from + x;
        float row[width];
        std::memcpy(row, packed + to + (size_t)COLUMNS.place[x] * stride, sizeof row);
        if (count == width)
          UNROLL for (int j = 0; j < width; j++) out[(size_t)j * S::INPUTS] = row[j];
        else
          for (int j = 0; j < count; j++) out[(size_t)j * S::INPUTS] = row[j];
      }
    });
  }

 private:
  using Rows = DenseRows<S>;
  struct Columns {
    int place[S::COLUMNS];
    constexpr Columns() : place() {
      for (int x = 0; x < S::COLUMNS; x++) place[x] = Rows::in_row(x, 0);
    }
  };
  static constexpr Columns COLUMNS{};

  // body(place in the tensor, in the packed space, outputs, constants: floats between packed rows
  // and outputs with padding), for each row of pixels of each channel and each cache line of
  // outputs: the columns of a row stand side by side in the tensor, the outputs in the other.
  template <class Body>
  static void over_strips(Body&& body) {
    using std::integral_constant;
    constexpr int LAST = Rows::PANELS - 1;
    for (int p = 0; p < LAST; p++)
      for (int j = 0; j < Rows::WIDTH; j += LINE)
        strips(p * Rows::WIDTH + j, Rows::panel(p) + j, LINE, integral_constant<int, Rows::WIDTH>{},
               integral_constant<int, LINE>{}, body);
    for (int j = 0; j < Rows::width(LAST); j += LINE) {
      int first = LAST * Rows::WIDTH + j;
      strips(first, Rows::panel(LAST) + j, S::J - first < LINE ? S::J - first : LINE,
             integral_constant<int, Rows::width(LAST)>{}, integral_constant<int, LINE>{}, body);
    }
    if constexpr (Rows::TAIL > 0)
      strips(Rows::MAIN, Rows::TAILS, S::J - Rows::MAIN, integral_constant<int, Rows::TAIL>{},
             integral_constant<int, Rows::TAIL>{}, body);
  }

  template <int STRIDE, class Width, class Body>
  static void strips(int output, size_t to, int count, std::integral_constant<int, STRIDE> stride,
                     Width width, Body&& body) {
    for (int y = 0; y < S::ROWS; y++)
      for (int c = 0; c < S::CHANNELS; c++)
        body((size_t)output * S::INPUTS + ((size_t)c * S::ROWS + y) * S::COLUMNS,
             to + ((size_t)y * S::ROW + c * S::COLUMNS) * STRIDE, count, stride, width);
  }
};

// Parameter K, weight or bias of layer K / 2, between its tensor and its segment.
template <int K>
struct ParameterPacking {
  static constexpr int LAYER = K / 2;
  static constexpr bool ROWS = K % 2 == 0 && LAYER >= CONVOLUTIONS;
  static constexpr size_t TENSOR = K % 2 ? Tensors::BIASES[LAYER] : Tensors::WEIGHTS[LAYER];
  static constexpr size_t USED = K % 2 ? Packed::BIASES[LAYER] : Packed::WEIGHTS[LAYER];
  static constexpr size_t START = Packed::start(K), END = Packed::start(K + 1);

  // To and from the whole packed space.
  static void pack(const float* tensor, float* packed) {
    if constexpr (ROWS) Dense::pack(tensor, packed + START);
    else std::memcpy(packed + START, tensor, USED * sizeof(float));
    clear_padding(packed);
  }
  static void unpack(const float* packed, float* tensor) {
    if constexpr (ROWS) Dense::unpack(packed + START, tensor);
    else std::memcpy(tensor, packed + START, USED * sizeof(float));
  }
  static void clear_padding(float* packed) {
    std::memset(packed + START + USED, 0, (END - START - USED) * sizeof(float));
  }
  static void clear(float* packed) {
    std::memset(packed + START, 0, (END - START) * sizeof(float));
  }

 private:
  using Dense = DensePacking<typename At<Denses, (ROWS ? LAYER - CONVOLUTIONS : 0)>::type>;
};

// Calls body(a ParameterPacking) for every parameter.
template <int K = 0, class Body>
void over_parameters(Body&& body) {
  if constexpr (K < 2 * LAYERS) {
    body(ParameterPacking<K>{}, K);
    over_parameters<K + 1>(body);
  }
}
