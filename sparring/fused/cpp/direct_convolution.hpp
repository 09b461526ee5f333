// A convolution as it is written down, for kernels or channel counts where Winograd does not pay.
//
// A row of outputs is, for each of the K kernel rows, one product with an input row in which the
// K * CI values under a kernel row stand side by side: consecutive pixels only overlap. Backward
// is the same product with the kernel turned round, over gradient rows with K - 1 - P pixels of
// zeros on each side. To a single input channel each gradient row is spread as it arrives, instead.
#pragma once

#include "blocks.hpp"
#include "gate.hpp"
#include "shapes.hpp"
#include "stages.hpp"
#include "direct_gradient.hpp"

template <class S>
struct DirectConvolution {
  static constexpr int K = S::K, BACK_P = K - 1 - S::P;
  static constexpr Blocking FORWARD = best_blocking(S::WC, S::CO);
  static constexpr Blocking BACKWARD = best_blocking(S::WI, S::CI);
  // Whether gradient rows are spread over the rows they come from as they arrive.
  static constexpr bool SPREAD = BACKWARD.channels == 1 && K > 1 && K <= REGISTERS / 2;

  // Whether attacks do that for all K rows at once, and multiply the gradient of what follows without a copy:
  // all of a channel's weights stay in registers, and K rows of sums, as many pixels as find room.
  static constexpr int AT_ONCE = (REGISTERS - K * K - 2) / K;
  static constexpr bool WHOLE = SPREAD && AT_ONCE >= K && (!S::POOL || (S::HC % 2 == 0 && S::WC % 2 == 0));

  using Gradient = DirectGradient<S>;

  struct Weights {
    alignas(64) float forward[S::WEIGHTS];
    alignas(64) float backward[S::WEIGHTS];
    const float* bias;
    float none[S::CI];  // zeros

    void take(const float* weight, const float* b) {
      bias = b;
      auto at = [&](int co, int ci, int ky, int kx) {
        return weight[((co * S::CI + ci) * K + ky) * K + kx];
      };
      pack_blocks<S::CO, FORWARD.channels>(forward, K * K * S::CI, [&](int d, int co) {
        return at(co, d % S::CI, d / S::CI / K, d / S::CI % K);
      });
      pack_blocks<S::CI, BACKWARD.channels>(backward, K * K * S::CO, [&](int d, int ci) {
        return at(d % S::CO, ci, K - 1 - d / S::CO / K, K - 1 - d / S::CO % K);
      });
    }
  };

  template <bool TRAIN>
  class Layer {
   public:
    static constexpr bool PUTS = !S::POOL;
    using Kept = typename Gate<S>::Kept;
    void use(Kept& kept) { gate_.use(kept); }

    Vec* slot(int y) { return input_[y % IN_ROWS] + S::P * S::CI; }

    template <class Below>
    void forward(int y, const Weights& w, Below&& below) {
      // Input row y is the last that output row y + P - (K - 1) needs; below the image is padding.
      int last = y == S::HI - 1 ? S::HC - 1 : y + S::P - (K - 1);
      for (; next_row_ <= last; next_row_++) {
        {
          Stage stage(STAGE_MULTIPLY);
          rows<S::WC, S::CI, S::CO, FORWARD.tiles, FORWARD.channels>(
              next_row_ - S::P, S::HI, [&](int r) { return input_[r % IN_ROWS]; }, w.forward,
              w.bias, [this, row = gate_.row(next_row_, below)](int i, Vec v) {
                put(row, i, gate_.put(next_row_, i, v));
              });
        }
        // Equal inputs give equal sums here.
        gate_.filled(next_row_, below, [](int, auto&&) { return Ties::none(); });
      }
      if (y == S::HI - 1) next_row_ = 0;
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights& w, Gradient* gradient, Above&& above) {
      for (int dy = 0; dy < Gate<S>::rows_from(y); dy++) {
        int yc = (S::POOL ? 2 * y : y) + dy;
        if constexpr (TRAIN || !WHOLE) gate_.back(y, dy, up, gradient_[yc % G_ROWS] + BACK_P * S::CO);
        if constexpr (TRAIN) {
          Stage stage(STAGE_WEIGHTS);
          gradient->row_arrived(
              yc, [&](int r) { return gradient_[r % G_ROWS] + BACK_P * S::CO; },
              [&](int r) { return slot(r); });
        }
        if constexpr (!std::decay_t<Above>::WANTED) continue;
        int last = yc == S::HC - 1 ? S::HI - 1 : yc + BACK_P - (K - 1);
        if constexpr (SPREAD) {
          Stage stage(STAGE_MULTIPLY);
          if constexpr (TRAIN || !WHOLE) spread(yc, w);
          else
            for (int c = 0; c < S::CI; c++) spread_from<0>(yc, c, up, w);
        }
        for (; next_gradient_ <= last; next_gradient_++) {
          if constexpr (SPREAD) {
            above.arrived(next_gradient_, input_gradient_[next_gradient_ % K]);
            continue;
          }
          {
            Stage stage(STAGE_MULTIPLY);
            rows<S::WI, S::CO, S::CI, BACKWARD.tiles, BACKWARD.channels>(
                next_gradient_ - BACK_P, S::HC, [&](int r) { return gradient_[r % G_ROWS]; },
                w.backward, w.none, [this](int i, Vec v) { input_gradient_[0][i] = v; });
          }
          above.arrived(next_gradient_, input_gradient_[0]);
        }
        if (yc == S::HC - 1) next_gradient_ = 0;
      }
    }

   private:
    static constexpr int IN_ROWS = TRAIN ? S::HI : K;
    static constexpr int G_ROWS = GradientRows<S>::COUNT;

    // put(i, value) for every [x][OUTPUTS] = i: start + products with those of the K rows from
    // `first` that lie within 0..height.
    template <int WIDTH, int INPUTS, int OUTPUTS, int TB, int CB, class Row, class Put>
    static NEVER_INLINE void rows(int first, int height, Row&& row, const float* weights,
                                  const float* start, Put&& put) {
      int from = first < 0 ? -first : 0, to = height - first < K ? height - first : K;
      over_blocks<OUTPUTS, CB>([&](int c, auto cb_) {
        constexpr int cb = decltype(cb_)::value;
        over_blocks<WIDTH, TB>([&](int x, auto tb_) {
          constexpr int tb = decltype(tb_)::value;
          Vec sums[tb][cb];
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) sums[i][j] = broadcast(start[c + j]);
          const float* w = weights + block_offset(c, K * K * INPUTS);
          for (int k = from; k < to; k++)
            multiply_block<tb, cb, INPUTS, K * INPUTS>(sums, row(first + k) + x * INPUTS,
                                                       w + (size_t)k * K * INPUTS * cb);
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) put((x + i) * OUTPUTS + c + j, sums[i][j]);
        });
      });
    }

    // Adds what row yc of the gradient gives to the K rows of the input's gradient above which it
    // stands: it is read from the first-level cache, where all K rows together find no room.
    // Pixel p of kernel column k gives to output p - k: a row of sums and a kernel row of weights
    // stay in registers, and each number is loaded once for K products.
    NEVER_INLINE void spread(int yc, const Weights& w) {
      constexpr int SUMS = even(S::WI, REGISTERS - K - 2);
      const Vec* row = gradient_[yc % G_ROWS];
      for (int k = 0; k < K; k++) {
        const int y = yc + BACK_P - k;
        if (y < 0 || y >= S::HI) continue;
        const bool begun = k > 0 && yc > 0;
        over_blocks<S::CI, 1>([&](int c, auto) {
          const float* weights = w.backward + (size_t)(c * K + k) * K * S::CO;
          over_blocks<S::WI, SUMS>([&](int x, auto count_) {
            constexpr int count = decltype(count_)::value;
            Vec* out = input_gradient_[y % K] + x * S::CI + c;
            Vec sums[count];
            UNROLL for (int t = 0; t < count; t++) sums[t] = begun ? out[t * S::CI] : Vec{};
            const Vec* in = row + x * S::CO;
            for (int d = 0; d < S::CO; d++, in++) {
              Vec tap[K];
              UNROLL for (int i = 0; i < K; i++) tap[i] = broadcast(weights[i * S::CO + d]);
              UNROLL for (int p = 0; p < count + K - 1; p++) {
                const Vec v = in[p * S::CO];
                UNROLL for (int i = 0; i < K; i++)
                  if (p - i >= 0 && p - i < count) sums[p - i] += tap[i] * v;
              }
            }
            UNROLL for (int t = 0; t < count; t++) out[t * S::CI] = sums[t];
          });
        });
      }
    }

    // The same of K rows at once, from the gradient of what follows: columns from X on.
    template <int X>
    ALWAYS_INLINE void spread_from(int yc, int c, const Vec* up, const Weights& w) {
      constexpr int LEFT = S::WI - X, COUNT = LEFT < COLUMNS ? LEFT : COLUMNS;
      // Pixels that give to those columns: of as many, some may lie beyond the row's ends.
      constexpr int MOST = COUNT + K - 1, FROM = X < BACK_P ? BACK_P - X : 0;
      constexpr int END = S::WC + BACK_P - X, TO = END < MOST ? END : MOST;
      spread_columns<COUNT, FROM, TO>(yc, X, c, up, w);
      if constexpr (LEFT > COUNT) spread_from<X + COUNT>(yc, c, up, w);
    }

    template <int COUNT, int FROM, int TO>
    NEVER_INLINE void spread_columns(int yc, int x, int c, const Vec* up, const Weights& w) {
      const float* weights = w.backward + (size_t)c * K * K * S::CO;
      auto place = [&](int k) { return input_gradient_[(yc + BACK_P - k + K) % K] + x * S::CI + c; };
      Vec sums[K][COUNT];
      UNROLL for (int k = 0; k < K; k++)
        UNROLL for (int t = 0; t < COUNT; t++) sums[k][t] = k > 0 && yc > 0 ? place(k)[t * S::CI] : Vec{};
      for (int d = 0; d < S::CO; d++) {
        Vec tap[K][K];
        UNROLL for (int k = 0; k < K; k++)
          UNROLL for (int i = 0; i < K; i++) tap[k][i] = broadcast(weights[(k * K + i) * S::CO + d]);
        UNROLL for (int p = FROM; p < TO; p++) {
          const Vec v = gate_.pull(yc, x + p - BACK_P, d, up);
          UNROLL for (int k = 0; k < K; k++)
            UNROLL for (int i = 0; i < K; i++)
              if (p - i >= 0 && p - i < COUNT) sums[k][p - i] += tap[k][i] * v;
        }
      }
      UNROLL for (int k = 0; k < K; k++) {
        const int y = yc + BACK_P - k;  // rows beyond the image get sums, too, that nobody takes
        if (y >= 0 && y < S::HI)
          UNROLL for (int t = 0; t < COUNT; t++) place(k)[t * S::CI] = sums[k][t];
      }
    }

    static constexpr int COLUMNS = even(S::WI, WHOLE ? AT_ONCE : 1);

    Gate<S> gate_;
    int next_row_ = 0, next_gradient_ = 0;
    Vec input_[IN_ROWS][(S::WI + 2 * S::P) * S::CI];
    Vec gradient_[G_ROWS][(S::WC + 2 * BACK_P) * S::CO];
    Vec input_gradient_[SPREAD ? K : 1][S::WI * S::CI];
  };
};
