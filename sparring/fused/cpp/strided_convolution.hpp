// A convolution of stride 2 or more, as it is written down.
//
// Forward it is a direct convolution that leaves pixels out. Backward, the pixels of an input row
// fall into as many phases as the stride has pixels: those of a phase see the same taps of the
// kernel, so each phase is a convolution of stride 1 of the gradient, by a smaller kernel. No zero is
// multiplied.
#pragma once

#include "blocks.hpp"
#include "direct_gradient.hpp"
#include "gate.hpp"
#include "shapes.hpp"
#include "stages.hpp"

template <class S>
struct StridedConvolution {
  static constexpr int K = S::K, STEP = S::STRIDE;
  // Taps that pixels of a phase see along one side, and the most of them.
  static constexpr int taps(int phase) { return phase < K ? (K - phase + STEP - 1) / STEP : 0; }
  static constexpr int REACH = taps(0);
  // The outputs m that pixels STEP m + phase - P of a row see last: from FIRST on, so many.
  static constexpr int first(int phase) { return phase < S::P ? (S::P - phase + STEP - 1) / STEP : 0; }
  static constexpr int count(int phase) {
    int last = S::WI - 1 + S::P - phase;
    return last < 0 || last / STEP < first(phase) ? 0 : last / STEP - first(phase) + 1;
  }
  static constexpr Blocking FORWARD = best_blocking(S::WC, S::CO);
  static constexpr Blocking BACKWARD = best_blocking((S::WI + STEP - 1) / STEP, S::CI);

  using Gradient = DirectGradient<S>;

  struct Weights {
    alignas(64) float forward[S::WEIGHTS];
    alignas(64) float backward[S::WEIGHTS];  // [phase of the row][phase of the column], then blocks
    const float* bias;

    // Where the weights of a pair of phases begin.
    static constexpr size_t phases(int row, int column) {
      int before = 0;
      for (int phase = 0; phase < row; phase++) before += taps(phase) * K;
      for (int phase = 0; phase < column; phase++) before += taps(row) * taps(phase);
      return (size_t)before * S::CI * S::CO;
    }

    void take(const float* weight, const float* b) {
      bias = b;
      auto at = [&](int co, int ci, int ky, int kx) {
        return weight[((co * S::CI + ci) * K + ky) * K + kx];
      };
      pack_blocks<S::CO, FORWARD.channels>(forward, K * K * S::CI, [&](int d, int co) {
        return at(co, d % S::CI, d / S::CI / K, d / S::CI % K);
      });
      for (int row = 0; row < STEP; row++)
        for (int column = 0; column < STEP; column++) {
          const int wide = taps(column);
          pack_blocks<S::CI, BACKWARD.channels>(
              backward + phases(row, column), taps(row) * wide * S::CO, [&](int d, int ci) {
                int x = d / S::CO % wide, y = d / S::CO / wide;
                return at(d % S::CO, ci, row + STEP * y, column + STEP * (wide - 1 - x));
              });
        }
    }
  };

  template <bool TRAIN>
  class Layer {
   public:
    using Kept = typename Gate<S>::Kept;
    void use(Kept& kept) { gate_.use(kept); }

    Vec* slot(int y) { return input_[y % IN_ROWS] + S::P * S::CI; }

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
        int last = yc == S::HC - 1 ? S::HI - 1 : STEP * (yc + 1) - S::P - 1;
        for (; next_gradient_ <= last; next_gradient_++) {
          {
            Stage stage(STAGE_MULTIPLY);
            columns<0>(next_gradient_ + S::P, w);
          }
          above.arrived(next_gradient_, input_gradient_);
        }
        if (yc == S::HC - 1) next_gradient_ = 0;
      }
    }

   private:
    static constexpr int IN_ROWS = TRAIN ? S::HI : K;
    static constexpr int G_ROWS = TRAIN ? GradientRows<S>::COUNT : REACH;
    // Zeros on both sides of a row of the gradient: what pixels beyond its ends see.
    static constexpr int LEFT = REACH - 1, END = (S::WI - 1 + S::P) / STEP + 1;
    static constexpr int G_WIDTH = LEFT + (END > S::WC ? END : S::WC);

    Vec* row(int yc) { return gradient_[yc % G_ROWS] + LEFT * S::CO; }

    NEVER_INLINE void row_of(int yc, const Weights& w, Vec* out) {
      const int top = STEP * yc - S::P;
      const int from = top < 0 ? -top : 0, to = S::HI - top < K ? S::HI - top : K;
      over_blocks<S::CO, FORWARD.channels>([&](int c, auto cb_) {
        constexpr int cb = decltype(cb_)::value;
        over_blocks<S::WC, FORWARD.tiles>([&](int x, auto tb_) {
          constexpr int tb = decltype(tb_)::value;
          Vec sums[tb][cb];
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) sums[i][j] = broadcast(w.bias[c + j]);
          const float* weights = w.forward + block_offset(c, K * K * S::CI);
          for (int k = from; k < to; k++)
            multiply_block<tb, cb, STEP * S::CI, K * S::CI>(
                sums, input_[(top + k) % IN_ROWS] + x * STEP * S::CI,
                weights + (size_t)k * K * S::CI * cb);
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) {
              int at = (x + i) * S::CO + c + j;
              out[at] = gate_.put(yc, at, sums[i][j]);
            }
        });
      });
    }

    // The pixels of all phases from PHASE on, of the row that is number v with its padding.
    template <int PHASE>
    void columns(int v, const Weights& w) {
      if constexpr (PHASE < STEP) {
        phase<PHASE, taps(PHASE), count(PHASE)>(v, w);
        columns<PHASE + 1>(v, w);
      }
    }

    template <int PHASE, int TAPS, int COUNT>
    NEVER_INLINE void phase(int v, const Weights& w) {
      const int of_row = v % STEP, bottom = v / STEP, high = taps(of_row);
      // Rows of the gradient that there are: bottom - i.
      const int from = bottom >= S::HC ? bottom - S::HC + 1 : 0;
      const int to = high < bottom + 1 ? high : bottom + 1;
      const float* weights = w.backward + Weights::phases(of_row, PHASE);
      over_blocks<S::CI, BACKWARD.channels>([&](int c, auto cb_) {
        constexpr int cb = decltype(cb_)::value;
        over_blocks<COUNT, BACKWARD.tiles>([&](int n, auto tb_) {
          constexpr int tb = decltype(tb_)::value;
          const int m = first(PHASE) + n;
          Vec sums[tb][cb] = {};
          const float* block = weights + block_offset(c, high * TAPS * S::CO);
          if constexpr (TAPS > 0)
            for (int i = from; i < to; i++)
              multiply_block<tb, cb, S::CO, TAPS * S::CO>(sums, row(bottom - i) + (m - TAPS + 1) * S::CO,
                                                          block + (size_t)i * TAPS * S::CO * cb);
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++)
              input_gradient_[(STEP * (m + i) + PHASE - S::P) * S::CI + c + j] = sums[i][j];
        });
      });
    }

    Gate<S> gate_;
    int next_row_ = 0, next_gradient_ = 0;
    Vec input_[IN_ROWS][(S::WI + 2 * S::P) * S::CI];
    Vec gradient_[G_ROWS][G_WIDTH * S::CO];
    Vec input_gradient_[S::WI * S::CI];
  };
};
