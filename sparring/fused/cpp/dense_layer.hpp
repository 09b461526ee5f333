// A dense layer, fed row by row: each row of inputs is used as it comes, while in cache.
//
// The weights stand in panels [row][block of outputs][input of the row][output of the block]:
// both directions read one copy, front to back, once. That matters, since here alone the weights
// are larger than the images' own values.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "stages.hpp"

template <class S>
struct DenseLayer {
  static constexpr int WIDTH = best_blocking(1, S::J).channels;
  static constexpr int GROUP = REGISTERS - 4 < S::ROW ? REGISTERS - 4 : S::ROW;

  struct Weights {
    alignas(64) float panels[S::WEIGHTS];
    float bias[S::J];

    // The weight tensor is (J, channel * row * column); here channels stand innermost.
    void pack(const float* weight, const float* b) {
      for (int j = 0; j < S::J; j++) bias[j] = b ? b[j] : 0.0f;
      for (int y = 0; y < S::ROWS; y++)
        pack_blocks<S::J, WIDTH>(panels + (size_t)y * S::ROW * S::J, S::ROW, [&](int i, int j) {
          return weight[(size_t)j * S::INPUTS + input_index(y, i)];
        });
    }
  };

  // Where input i of row y, [column][channel], stands in the flattened (channel, row, column).
  static size_t input_index(int y, int i) {
    int x = i / S::CHANNELS, c = i % S::CHANNELS;
    return ((size_t)c * S::ROWS + y) * S::COLUMNS + x;
  }

  // Sums over images of input times gradient, [row][output][channel][column], and of gradients.
  // The first block of images writes `weights`, the others add to them: they are many.
  struct Gradient {
    alignas(64) float weights[S::WEIGHTS];
    float bias[S::J];
    int blocks;

    void clear() {
      std::memset(bias, 0, sizeof bias);
      blocks = 0;
    }

    void add_to(float* weight, float* b) const {
      for (int j = 0; j < S::J; j++)
        for (int c = 0; c < S::CHANNELS; c++)
          for (int y = 0; y < S::ROWS; y++) {
            const float* from = weights + (((size_t)y * S::J + j) * S::CHANNELS + c) * S::COLUMNS;
            float* to = weight + (size_t)j * S::INPUTS + ((size_t)c * S::ROWS + y) * S::COLUMNS;
            for (int x = 0; x < S::COLUMNS; x++) to[x] += from[x];
          }
      if (b)
        for (int j = 0; j < S::J; j++) b[j] += bias[j];
    }
  };

  template <bool TRAIN>
  class Layer {
   public:
    Vec* slot(int y) { return input_[TRAIN ? y : 0]; }

    // Before the first row.
    void begin(const Weights& w) {
      for (int j = 0; j < S::J; j++) value[j] = broadcast(w.bias[j]);
    }

    NEVER_INLINE void arrived(int y, const Weights& w) {
      Stage stage(STAGE_MULTIPLY);
      const Vec* row = slot(y);
      const float* panels = w.panels + (size_t)y * S::ROW * S::J;
      over_blocks<S::J, WIDTH>([&](int j, auto width_) {
        constexpr int width = decltype(width_)::value;
        Vec sums[1][width];
        UNROLL for (int i = 0; i < width; i++) sums[0][i] = value[j + i];
        multiply_block<1, width, 0, S::ROW>(sums, row, panels + block_offset(j, S::ROW));
        UNROLL for (int i = 0; i < width; i++) value[j + i] = sums[0][i];
      });
    }

    // After the last row: `value` becomes the layer's output.
    void finish() {
      if constexpr (S::RELU)
        for (int j = 0; j < S::J; j++) {
          mask_[j] = positive(value[j]);
          value[j] = keep(mask_[j], value[j]);
        }
    }

    // `value` holds the gradient of the layer's output; lists the outputs where any image has one.
    void begin_backward(Gradient* gradient) {
      alive_ = 0;
      for (int j = 0; j < S::J; j++) {
        if constexpr (S::RELU) value[j] = keep(mask_[j], value[j]);
        bool any = false;
        for (int i = 0; i < LANES; i++) any |= value[j][i] != 0.0f;
        if (!any) continue;  // a dead unit adds exact zeros to every gradient
        int block = j / WIDTH, width = S::J - block * WIDTH < WIDTH ? S::J - block * WIDTH : WIDTH;
        unit_[alive_] = {j, block_offset(block * WIDTH, S::ROW) + j - block * WIDTH, width};
        alive_++;
      }
      if constexpr (TRAIN) {
        gradient->blocks++;
        for (int j = 0; j < S::J; j++) {
          gradient->bias[j] += sum_of_lanes(value[j]);
          for (int i = 0; i < LANES; i++) by_image_[j][i] = value[j][i];
        }
      }
    }

    // The gradient of input row y.
    NEVER_INLINE void backward_row(int y, const Weights& w, Vec* out) const {
      Stage stage(STAGE_MULTIPLY);
      const float* panels = w.panels + (size_t)y * S::ROW * S::J;
      if (alive_ == 0) std::memset((void*)out, 0, sizeof(Vec) * S::ROW);
      for (int first = 0, end; first < alive_; first = end) {
        // Few panels are read together, so that a sum stays in registers. Of many, one after the
        // other: to jump between them would leave the prefetcher nothing to foresee.
        end = S::J <= 4 * WIDTH ? alive_ : first + 1;
        while (end < alive_ && unit_[end].index / WIDTH == unit_[first].index / WIDTH) end++;
        over_blocks<S::ROW, GROUP>([&](int k, auto count_) {
          constexpr int count = decltype(count_)::value;
          Vec sums[count];
          UNROLL for (int t = 0; t < count; t++) sums[t] = first ? out[k + t] : Vec{};
          for (int u = first; u < end; u++) {
            const float* p = panels + unit_[u].offset + (size_t)k * unit_[u].width;
            const size_t stride = unit_[u].width;
            Vec d = value[unit_[u].index];
            UNROLL for (int t = 0; t < count; t++) sums[t] += p[t * stride] * d;
          }
          UNROLL for (int t = 0; t < count; t++) out[k + t] = sums[t];
        });
      }
    }

    // Adds row y's part of the weights' gradient. Images become the summed dimension of a small
    // matrix product: the row is transposed to [image][channel][column] first.
    NEVER_INLINE void gradient_row(int y, Gradient* gradient) {
      Stage stage(STAGE_WEIGHTS);
      const Vec* row = slot(y);
      for (int x = 0; x < S::COLUMNS; x++)
        for (int c = 0; c < S::CHANNELS; c++)
          for (int i = 0; i < LANES; i++)
            images_[i][c * S::COLUMNS + x] = row[x * S::CHANNELS + c][i];
      float* sums = gradient->weights + (size_t)y * S::J * S::ROW;
      const bool first = gradient->blocks == 1;
      constexpr int V = S::ROW / LANES, JB = REGISTERS == 32 ? 4 : 3, VB = REGISTERS == 32 ? 5 : 3;
      over_blocks<S::J, JB>([&](int j, auto jb_) {
        constexpr int jb = decltype(jb_)::value;
        over_blocks<V, VB>([&](int v, auto vb_) {
          constexpr int vb = decltype(vb_)::value;
          Vec s[jb][vb];
          UNROLL for (int a = 0; a < jb; a++)
            UNROLL for (int b = 0; b < vb; b++)
              if (first)
                s[a][b] = Vec{};
              else
                std::memcpy(&s[a][b], sums + (size_t)(j + a) * S::ROW + (v + b) * LANES, sizeof(Vec));
          for (int i = 0; i < LANES; i++) {
            Vec in[vb];
            UNROLL for (int b = 0; b < vb; b++)
              std::memcpy(&in[b], images_[i] + (v + b) * LANES, sizeof(Vec));
            UNROLL for (int a = 0; a < jb; a++)
              UNROLL for (int b = 0; b < vb; b++) s[a][b] += by_image_[j + a][i] * in[b];
          }
          UNROLL for (int a = 0; a < jb; a++)
            UNROLL for (int b = 0; b < vb; b++)
              std::memcpy(sums + (size_t)(j + a) * S::ROW + (v + b) * LANES, &s[a][b], sizeof(Vec));
        });
        for (int k = V * LANES; k < S::ROW; k++)
          for (int a = 0; a < jb; a++) {
            float& sum = sums[(size_t)(j + a) * S::ROW + k];
            if (first) sum = 0;
            for (int i = 0; i < LANES; i++) sum += by_image_[j + a][i] * images_[i][k];
          }
      });
    }

    Vec value[S::J];

   private:
    struct Unit {
      int index, offset, width;  // output, its first weight within a row's panels, panel width
    };
    Vec input_[TRAIN ? S::ROWS : 1][S::ROW];
    Mask mask_[S::J];
    Unit unit_[S::J];
    int alive_ = 0;
    float by_image_[TRAIN ? S::J : 1][LANES];
    alignas(64) float images_[TRAIN ? LANES : 1][S::ROW];
  };
};
