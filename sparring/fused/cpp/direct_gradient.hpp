// The gradient of a convolution's weights and biases, summed over images, in their lanes.
//
//   dw[co][ci][ky][kx] = sum over y, x of g[y][x][co] * in[y + ky - P][x + kx - P][ci]
//
// Rows of g come one by one. They are taken in groups, so that a block of sums is fetched from
// cache once a group and not once a row; the lanes are added up once, at the very end.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"

template <class S>
struct GradientRows {
  static constexpr int GROUP = 4;
  // Rows of the convolution's gradient that must stay available.
  static constexpr int COUNT = S::K > GROUP ? S::K : GROUP;
};

template <class S>
class DirectGradient {
 public:
  // The sums of what follows go to the weights (CO, CI, K, K) and the biases (CO).
  void begin(float* weight, float* bias) {
    weight_ = weight, bias_ = bias;
    std::memset((void*)sums_, 0, sizeof sums_);
    std::memset((void*)biases_, 0, sizeof biases_);
  }

  // Row y of g is there: g_row(r) is row r, and in_row(r) the input's row r, at its pixel 0.
  template <class GRow, class InRow>
  NEVER_INLINE void row_arrived(int y, GRow&& g_row, InRow&& in_row) {
    constexpr int GROUP = GradientRows<S>::GROUP;
    if (y % GROUP < GROUP - 1 && y < S::HC - 1) return;
    int first = y - y % GROUP;
    for (int r = first; r <= y; r++)
      for (int x = 0; x < S::WC; x++)
        for (int c = 0; c < S::CO; c++) biases_[c] += g_row(r)[x * S::CO + c];
    over_blocks<S::CO, WIDTH>([&](int c, auto width_) {
      constexpr int width = decltype(width_)::value;
      for (int ky = 0; ky < S::K; ky++)
        for (int ci = 0; ci < S::CI; ci++) {
          Vec* at = sums_ + (((size_t)ky * S::CI + ci) * S::CO + c) * S::K;
          Vec sums[width][S::K];
          UNROLL for (int i = 0; i < width; i++)
            UNROLL for (int k = 0; k < S::K; k++) sums[i][k] = at[i * S::K + k];
          for (int r = first; r <= y; r++) {
            int yi = S::STRIDE * r + ky - S::P;
            if (yi < 0 || yi >= S::HI) continue;
            const Vec *g = g_row(r) + c, *in = in_row(yi) - S::P * S::CI + ci;
            for (int x = 0; x < S::WC; x++, g += S::CO, in += S::STRIDE * S::CI) {
              Vec v[width];
              UNROLL for (int i = 0; i < width; i++) v[i] = g[i];
              UNROLL for (int k = 0; k < S::K; k++) {
                Vec pixel = in[k * S::CI];
                UNROLL for (int i = 0; i < width; i++) sums[i][k] += pixel * v[i];
              }
            }
          }
          UNROLL for (int i = 0; i < width; i++)
            UNROLL for (int k = 0; k < S::K; k++) at[i * S::K + k] = sums[i][k];
        }
    });
  }

  void finish() {
    const Vec* sums = sums_;
    for (int ky = 0; ky < S::K; ky++)
      for (int ci = 0; ci < S::CI; ci++)
        for (int co = 0; co < S::CO; co++)
          for (int kx = 0; kx < S::K; kx++)
            weight_[((co * S::CI + ci) * S::K + ky) * S::K + kx] = sum_of_lanes(*sums++);
    for (int co = 0; co < S::CO; co++) bias_[co] = sum_of_lanes(biases_[co]);
  }

 private:
  static constexpr int FIT = (REGISTERS - 1) / (S::K + 1);
  static constexpr int WIDTH = FIT < 1 ? 1 : (FIT > S::CO ? S::CO : FIT);
  float *weight_, *bias_;
  Vec sums_[S::WEIGHTS];
  Vec biases_[S::CO];
};
