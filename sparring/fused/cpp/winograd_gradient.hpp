// The gradient of a Winograd convolution's weights, in the transformed domain.
//
// Each frequency's product M = U V of the forward pass gives dU = dM V', summed over tiles and
// images: 64 numbers for a pair of channels where the direct sum has K * K for every pixel. At the
// very end the lanes are added up and dU goes back through the adjoint of the filter's transform.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "winograd.hpp"

template <class S>
class WinogradGradient {
 public:
  static constexpr int F = winograd::POINTS, R = S::K;

  void clear() { std::memset((void*)this, 0, sizeof *this); }

  // A row of the convolution's gradient, for the biases.
  void row_arrived(const Vec* g) {
    for (int x = 0; x < S::WC; x++)
      for (int c = 0; c < S::CO; c++) bias_[c] += g[x * S::CO + c];
  }

  // A row of TX tiles at one frequency: in[tile][CI] and g[tile][CO].
  template <int TX>
  ALWAYS_INLINE void tiles_arrived(int frequency, const Vec* in, const Vec* g) {
    constexpr Blocking B = best_blocking(S::CI, S::CO);
    Vec* sums = sums_ + (size_t)frequency * S::CI * S::CO;
    over_blocks<S::CI, B.tiles>([&](int ci, auto ib_) {
      constexpr int ib = decltype(ib_)::value;
      over_blocks<S::CO, B.channels>([&](int co, auto ob_) {
        constexpr int ob = decltype(ob_)::value;
        Vec s[ib][ob];
        UNROLL for (int i = 0; i < ib; i++)
          UNROLL for (int o = 0; o < ob; o++) s[i][o] = sums[(ci + i) * S::CO + co + o];
        for (int t = 0; t < TX; t++) {
          Vec v[ib];
          UNROLL for (int i = 0; i < ib; i++) v[i] = in[t * S::CI + ci + i];
          UNROLL for (int o = 0; o < ob; o++) {
            Vec d = g[t * S::CO + co + o];
            UNROLL for (int i = 0; i < ib; i++) s[i][o] += v[i] * d;
          }
        }
        UNROLL for (int i = 0; i < ib; i++)
          UNROLL for (int o = 0; o < ob; o++) sums[(ci + i) * S::CO + co + o] = s[i][o];
      });
    });
  }

  // Adds to the weights (CO, CI, K, K) and, if there are any, biases (CO).
  void add_to(float* weight, float* bias) const {
    for (int ci = 0; ci < S::CI; ci++)
      for (int co = 0; co < S::CO; co++) {
        double rows[R][F], column[F], taps[R];
        for (int f = 0; f < F; f++) {
          for (int q = 0; q < F; q++)
            column[q] = sum_of_lanes(sums_[((size_t)(f * F + q) * S::CI + ci) * S::CO + co]);
          winograd::adjoint_filter<R>(column, taps);
          for (int ky = 0; ky < R; ky++) rows[ky][f] = taps[ky];
        }
        for (int ky = 0; ky < R; ky++) {
          winograd::adjoint_filter<R>(rows[ky], taps);
          for (int kx = 0; kx < R; kx++)
            weight[((co * S::CI + ci) * R + ky) * R + kx] += (float)taps[kx];
        }
      }
    if (bias)
      for (int co = 0; co < S::CO; co++) bias[co] += sum_of_lanes(bias_[co]);
  }

 private:
  Vec sums_[(size_t)F * F * S::CI * S::CO];  // [x frequency][y frequency][CI][CO]
  Vec bias_[S::CO];
};
