// A dense layer for one image: lanes over the inputs, panels of outputs that are summed together.
//
// Weights [panel][vector of inputs][output of the panel][lane]: forward and backward stream one
// copy of them from front to back, which is all that this layer costs.
#pragma once

#include "image_convolution.hpp"

template <class S>
struct ImageDense {
  // Inputs come as [row][column][channel], the order of the pixels above.
  static constexpr int V = vectors(S::INPUTS), PADDED = V * LANES;
  static constexpr int WIDTH = S::J < 12 ? S::J : 10;

  static constexpr size_t input_index(int i) {
    int c = i % S::CHANNELS, x = i / S::CHANNELS % S::COLUMNS, y = i / S::CHANNELS / S::COLUMNS;
    return ((size_t)c * S::ROWS + y) * S::COLUMNS + x;
  }

  // Where the weight of (input i, output j) stands.
  static constexpr size_t place(int i, int j) {
    int first = j / WIDTH * WIDTH, width = S::J - first < WIDTH ? S::J - first : WIDTH;
    return (size_t)first * PADDED + ((size_t)(i / LANES) * width + j - first) * LANES + i % LANES;
  }

  struct Weights {
    alignas(64) float panels[(size_t)PADDED * S::J];
    float bias[S::J];
    int32_t order_[PADDED];

    void pack(const float* weight, const float* b) {
      // Every update packs all weights anew: one output's row at a time, which fits in cache, and
      // without a division for each of them.
      for (int i = 0; i < S::INPUTS; i++) order_[i] = (int32_t)input_index(i);
      for (int j = 0; j < S::J; j++) {
        bias[j] = b ? b[j] : 0.0f;
        const float* row = weight + (size_t)j * S::INPUTS;
        for (int v = 0; v < V; v++) {
          float* to = panels + place(v * LANES, j);
          const int32_t* from = order_ + v * LANES;
          for (int i = 0; i < LANES; i++)
            if (S::INPUTS % LANES == 0 || v * LANES + i < S::INPUTS) to[i] = row[from[i]];
        }
      }
    }
  };

  // In the weight tensor's own order, which add_gradient turns the inputs to.
  struct Gradient {
    alignas(64) float weights[S::WEIGHTS];
    float bias[S::J];

    void clear() { std::memset((void*)this, 0, sizeof *this); }

    void add_to(float* weight, float* b) const {
      for (size_t i = 0; i < S::WEIGHTS; i++) weight[i] += weights[i];
      if (b)
        for (int j = 0; j < S::J; j++) b[j] += bias[j];
    }
  };

  class Layer {
   public:
    alignas(64) float input[PADDED + LANES];  // padded with zeros
    float output[S::J];                       // and later the gradient of the output

    NEVER_INLINE void forward(const Weights& w) {
      Stage stage(STAGE_MULTIPLY);
      over_blocks<S::J, WIDTH>([&](int j, auto width_) {
        constexpr int width = decltype(width_)::value;
        Vec sums[width];
        UNROLL for (int a = 0; a < width; a++) sums[a] = Vec{};
        const float* p = w.panels + (size_t)j * PADDED;
        for (int v = 0; v < V; v++, p += width * LANES) {
          Vec x = load_vec(input + v * LANES);
          UNROLL for (int a = 0; a < width; a++) sums[a] += load_vec(p + a * LANES) * x;
        }
        for (int a = 0; a < width; a++) {
          float h = sum_of_lanes(sums[a]) + w.bias[j + a];
          output[j + a] = S::RELU && h <= 0 ? 0.0f : h;
        }
      });
      if constexpr (S::RELU) std::memcpy(kept_, output, sizeof kept_);
    }

    // `output` holds the gradient of what forward gave.
    void gate() {
      if constexpr (S::RELU)
        for (int j = 0; j < S::J; j++)
          if (kept_[j] == 0.0f) output[j] = 0.0f;
    }

    NEVER_INLINE void backward(const Weights& w, float* out) const {
      Stage stage(STAGE_MULTIPLY);
      std::memset(out, 0, PADDED * sizeof(float));
      for (int first = 0; first < S::J; first += WIDTH) {
        int width = S::J - first < WIDTH ? S::J - first : WIDTH, alive = 0;
        int index[WIDTH];
        for (int a = 0; a < width; a++)
          if (output[first + a] != 0.0f) index[alive++] = a;  // a dead unit adds exact zeros
        const float* p = w.panels + (size_t)first * PADDED;
        int u = 0;
        for (; u + 4 <= alive; u += 4) add<4>(p, width, index + u, output + first, out);
        for (; u < alive; u++) add<1>(p, width, index + u, output + first, out);
      }
    }

    NEVER_INLINE void add_gradient(Gradient* sums) {
      Stage stage(STAGE_WEIGHTS);
      constexpr int AREA = S::ROWS * S::COLUMNS;
      for (int p = 0; p < AREA; p++)
        for (int c = 0; c < S::CHANNELS; c++) turned_[c * AREA + p] = input[p * S::CHANNELS + c];
      for (int j = 0; j < S::J; j++) {
        sums->bias[j] += output[j];
        if (output[j] == 0.0f) continue;
        float* to = sums->weights + (size_t)j * S::INPUTS;
        const float g = output[j];
        for (int i = 0; i < S::INPUTS; i++) to[i] += g * turned_[i];
      }
    }

   private:
    template <int N>
    static void add(const float* panel, int width, const int* index, const float* g, float* out) {
      for (int v = 0; v < V; v++, panel += width * LANES) {
        Vec s = load_vec(out + v * LANES);
        UNROLL for (int a = 0; a < N; a++)
          s += g[index[a]] * load_vec(panel + index[a] * LANES);
        store_vec(out + v * LANES, s);
      }
    }

    float kept_[S::RELU ? S::J : 1];
    alignas(64) float turned_[S::INPUTS];
  };
};
