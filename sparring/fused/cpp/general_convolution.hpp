// A convolution with strides, groups, dilation, or sides of its own down and across, as it is written
// down.
//
// A tap is one place of the kernel: in it a group's inputs of a pixel stand side by side, and a block of
// sums stays in registers over all taps. Backward, the pixels of an input row fall into as many phases as
// the stride has pixels, and those of a phase see the same taps: no zero is multiplied. Without groups and
// dilation the taps of a row, or backward of a row and a phase, are one run of numbers.
#pragma once

#include "blocks.hpp"
#include "direct_gradient.hpp"
#include "gate.hpp"
#include "shapes.hpp"
#include "stages.hpp"

template <class S>
struct GeneralConvolution {
  static constexpr int GI = S::CI / S::GROUPS, GO = S::CO / S::GROUPS;  // channels of a group
  static constexpr int TAPS = S::KH * S::KW;
  static constexpr bool RUNS = S::GROUPS == 1 && S::DW == 1;

  // The columns of the kernel by the phase of the pixels that see them; in each from right to left, as
  // the outputs stand from left to right.
  struct Columns {
    int at[S::KW], first[S::SW + 1];
    constexpr Columns() : at(), first() {
      int count = 0;
      for (int phase = 0; phase < S::SW; phase++) {
        for (int kx = S::KW - 1; kx >= 0; kx--)
          if (kx * S::DW % S::SW == phase) at[count++] = kx;
        first[phase + 1] = count;
      }
    }
  };
  static constexpr Columns COLUMNS{};
  // The outputs m that pixels SW m + phase - PW of a row see last: from FIRST on, so many.
  static constexpr int first(int phase) { return phase < S::PW ? (S::PW - phase + S::SW - 1) / S::SW : 0; }
  static constexpr int count(int phase) {
    int last = S::WI - 1 + S::PW - phase;
    return last < 0 || last / S::SW < first(phase) ? 0 : last / S::SW - first(phase) + 1;
  }
  static constexpr Blocking FORWARD = best_blocking(S::WC, GO);
  static constexpr Blocking BACKWARD = best_blocking((S::WI + S::SW - 1) / S::SW, GI);

  using Gradient = DirectGradient<S>;

  struct Weights {
    // [group], then blocks, each [tap][channel of the group]; forward from inputs, backward to them, with
    // columns in the order of COLUMNS.
    alignas(64) float forward[S::WEIGHTS];
    alignas(64) float backward[S::WEIGHTS];
    const float* bias;

    void take(const float* weight, const float* b) {
      bias = b;
      constexpr size_t SIZE = (size_t)GI * GO * TAPS;
      for (int g = 0; g < S::GROUPS; g++) {
        auto at = [&](int co, int ci, int tap) {
          return weight[((size_t)(g * GO + co) * GI + ci) * TAPS + tap];
        };
        pack_blocks<GO, FORWARD.channels>(forward + g * SIZE, TAPS * GI, [&](int d, int co) {
          return at(co, d % GI, d / GI);
        });
        pack_blocks<GI, BACKWARD.channels>(backward + g * SIZE, TAPS * GO, [&](int d, int ci) {
          int tap = d / GO;
          return at(d % GO, ci, tap / S::KW * S::KW + COLUMNS.at[tap % S::KW]);
        });
      }
    }
  };

  template <bool TRAIN>
  class Layer {
   public:
    static constexpr bool PUTS = !S::POOL;
    using Kept = typename Gate<S>::Kept;
    void use(Kept& kept) {
      gate_.use(kept);
      for (int r = 0; r < IN_ROWS; r++) rows_[r] = input_[r];
    }

    Vec* slot(int y) { return input_[y % IN_ROWS] + S::PW * S::CI; }

    // Input row y stands at `row`, a pixel of zeros on both sides.
    static constexpr bool TAKES = !TRAIN && S::PW <= 1;
    void take(int y, const Vec* row) { rows_[y % IN_ROWS] = row - S::PW * S::CI; }

    template <class Below>
    void forward(int y, const Weights& w, Below&& below) {
      const int last = S::last_row(y);
      for (; next_row_ <= last; next_row_++) {
        {
          Stage stage(STAGE_MULTIPLY);
          row_of(next_row_, w, gate_.row(next_row_, below));
        }
        gate_.filled(next_row_, below, [](int, auto&&) { return Ties::none(); });
      }
      if (y == S::HI - 1) next_row_ = 0;
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights& w, Gradient* gradient, Above&& above) {
      for (int dy = 0; dy < Gate<S>::rows_from(y); dy++) {
        int yc = (S::POOL ? 2 * y : y) + dy;
        gate_.back(y, dy, up, row(yc));
        if constexpr (TRAIN) {
          Stage stage(STAGE_WEIGHTS);
          gradient->row_arrived(
              yc, [&](int r) { return row(r); }, [&](int r) { return slot(r); });
        }
        if constexpr (!std::decay_t<Above>::WANTED) continue;
        // Rows that no later row of the gradient takes part in.
        const int done = S::SH * (yc + 1) - S::PH - 1;
        const int last = yc == S::HC - 1 || done > S::HI - 1 ? S::HI - 1 : done;
        for (; next_gradient_ <= last; next_gradient_++) {
          {
            Stage stage(STAGE_MULTIPLY);
            columns<0>(next_gradient_ + S::PH, w);
          }
          above.arrived(next_gradient_, input_gradient_);
        }
        if (yc == S::HC - 1) next_gradient_ = 0;
      }
    }

   private:
    static constexpr int IN_ROWS = TRAIN ? S::HI : S::REACH_ROWS;
    static constexpr int SEEN = (S::REACH_ROWS - 1 + S::SH - 1) / S::SH + 1;
    static constexpr int KEPT = TRAIN ? GradientRows<S>::GROUP : 1;
    static constexpr int G_ROWS = SEEN > KEPT ? SEEN : KEPT;
    // Zeros on both sides of a row of the gradient: what pixels beyond its ends see.
    static constexpr int LEFT = (S::REACH_COLUMNS - 1 + S::SW - 1) / S::SW;
    static constexpr int END = (S::WI - 1 + S::PW) / S::SW + 1;
    static constexpr int G_WIDTH = LEFT + (END > S::WC ? END : S::WC);

    Vec* row(int yc) { return gradient_[yc % G_ROWS] + LEFT * S::CO; }

    template <class Row>
    NEVER_INLINE void row_of(int yc, const Weights& w, Row out) {
      const int top = S::SH * yc - S::PH;
      for (int g = 0; g < S::GROUPS; g++)
        over_blocks<GO, FORWARD.channels>([&](int c, auto cb_) {
          constexpr int cb = decltype(cb_)::value;
          over_blocks<S::WC, FORWARD.tiles>([&](int x, auto tb_) {
            constexpr int tb = decltype(tb_)::value;
            const int to = g * GO + c;
            Vec sums[tb][cb];
            UNROLL for (int i = 0; i < tb; i++)
              UNROLL for (int j = 0; j < cb; j++) sums[i][j] = broadcast(w.bias[to + j]);
            const float* weights = w.forward + (size_t)g * GO * GI * TAPS + block_offset(c, TAPS * GI);
            for (int ky = 0; ky < S::KH; ky++) {
              const int yi = top + ky * S::DH;
              if (yi < 0 || yi >= S::HI) continue;
              const Vec* in = rows_[yi % IN_ROWS] + x * S::SW * S::CI + g * GI;
              constexpr int RUN = RUNS ? S::KW : 1;
              for (int kx = 0; kx < S::KW; kx += RUN)
                multiply_block<tb, cb, S::SW * S::CI, RUN * GI>(sums, in + kx * S::DW * S::CI,
                                                                weights + (ky * S::KW + kx) * GI * cb);
            }
            UNROLL for (int i = 0; i < tb; i++)
              UNROLL for (int j = 0; j < cb; j++) {
                int at = (x + i) * S::CO + to + j;
                put(out, at, gate_.put(yc, at, sums[i][j]));
              }
          });
        });
    }

    // The pixels of all phases from PHASE on, of the row that is number v with its padding.
    template <int PHASE>
    void columns(int v, const Weights& w) {
      if constexpr (PHASE < S::SW) {
        if constexpr (count(PHASE) > 0) phase<PHASE, count(PHASE)>(v, w);
        columns<PHASE + 1>(v, w);
      }
    }

    template <int PHASE, int COUNT>
    NEVER_INLINE void phase(int v, const Weights& w) {
      for (int g = 0; g < S::GROUPS; g++)
        over_blocks<GI, BACKWARD.channels>([&](int c, auto cb_) {
          constexpr int cb = decltype(cb_)::value;
          over_blocks<COUNT, BACKWARD.tiles>([&](int n, auto tb_) {
            constexpr int tb = decltype(tb_)::value;
            const int m = first(PHASE) + n;
            Vec sums[tb][cb] = {};
            const float* weights = w.backward + (size_t)g * GO * GI * TAPS + block_offset(c, TAPS * GO);
            for (int ky = 0; ky < S::KH; ky++) {
              const int above = v - ky * S::DH, yo = above / S::SH;
              if (above < 0 || above % S::SH != 0 || yo >= S::HC) continue;
              const Vec* up = row(yo) + m * S::CO + g * GO;
              constexpr int FROM = COLUMNS.first[PHASE], TO = COLUMNS.first[PHASE + 1];
              constexpr int RUN = RUNS && TO > FROM ? TO - FROM : 1;
              for (int i = FROM; i < TO; i += RUN)
                multiply_block<tb, cb, S::CO, RUN * GO>(
                    sums, up + (PHASE - COLUMNS.at[i] * S::DW) / S::SW * S::CO,
                    weights + (ky * S::KW + i) * GO * cb);
            }
            UNROLL for (int i = 0; i < tb; i++)
              UNROLL for (int j = 0; j < cb; j++)
                input_gradient_[(S::SW * (m + i) + PHASE - S::PW) * S::CI + g * GI + c + j] = sums[i][j];
          });
        });
    }

    Gate<S> gate_;
    int next_row_ = 0, next_gradient_ = 0;
    const Vec* rows_[IN_ROWS];
    Vec input_[IN_ROWS][(S::WI + 2 * S::PW) * S::CI];
    Vec gradient_[G_ROWS][G_WIDTH * S::CO];
    Vec input_gradient_[S::WI * S::CI];
  };
};
