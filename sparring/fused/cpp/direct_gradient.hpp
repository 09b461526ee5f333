// The gradient of a convolution's weights and biases, summed over images, in their lanes.
//
//   dw[co][ci][ky][kx] = sum over y, x of g[y][x][co] * in[y + ky - P][x + kx - P][ci]
//
// (with strides and dilations, and ci within the group of co).
// Rows of g come one by one. They are taken in groups, so that a block of sums is fetched from
// cache once a group and not once a row; the lanes are added up once, at the very end.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"

template <class S>
struct GradientRows {
  static constexpr int GROUP = 4;
  // Rows of the convolution's gradient that must stay available.
  static constexpr int COUNT = S::KH > GROUP ? S::KH : GROUP;
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
    for (int group = 0; group < S::GROUPS; group++)
      over_blocks<GO, WIDTH>([&](int block, auto width_) {
        constexpr int width = decltype(width_)::value;
        const int c = group * GO + block;
        for (int ky = 0; ky < S::KH; ky++)
          for (int ci = 0; ci < GI; ci++) {
            Vec* at = sums_ + (((size_t)ky * GI + ci) * S::CO + c) * S::KW;
            Vec sums[width][S::KW];
            UNROLL for (int i = 0; i < width; i++)
              UNROLL for (int k = 0; k < S::KW; k++) sums[i][k] = at[i * S::KW + k];
            for (int r = first; r <= y; r++) {
              int yi = S::SH * r + ky * S::DH - S::PH;
              if (yi < 0 || yi >= S::HI) continue;
              const Vec *g = g_row(r) + c, *in = in_row(yi) - S::PW * S::CI + group * GI + ci;
              for (int x = 0; x < S::WC; x++, g += S::CO, in += S::SW * S::CI) {
                Vec v[width];
                UNROLL for (int i = 0; i < width; i++) v[i] = g[i];
                UNROLL for (int k = 0; k < S::KW; k++) {
                  Vec pixel = in[k * S::DW * S::CI];
                  UNROLL for (int i = 0; i < width; i++) sums[i][k] += pixel * v[i];
                }
              }
            }
            UNROLL for (int i = 0; i < width; i++)
              UNROLL for (int k = 0; k < S::KW; k++) at[i * S::KW + k] = sums[i][k];
          }
      });
  }

  void finish() {
    const Vec* sums = sums_;
    for (int ky = 0; ky < S::KH; ky++)
      for (int ci = 0; ci < GI; ci++)
        for (int co = 0; co < S::CO; co++)
          for (int kx = 0; kx < S::KW; kx++)
            weight_[((co * GI + ci) * S::KH + ky) * S::KW + kx] = sum_of_lanes(*sums++);
    for (int co = 0; co < S::CO; co++) bias_[co] = sum_of_lanes(biases_[co]);
  }

 private:
  static constexpr int GI = S::CI / S::GROUPS, GO = S::CO / S::GROUPS;  // channels of a group
  static constexpr int FIT = (REGISTERS - 1) / (S::KW + 1);
  static constexpr int WIDTH = FIT < 1 ? 1 : (FIT > GO ? GO : FIT);
  float *weight_, *bias_;
  Vec sums_[S::WEIGHTS];
  Vec biases_[S::CO];
};
