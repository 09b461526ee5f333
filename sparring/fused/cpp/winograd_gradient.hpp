// The gradient of a Winograd convolution's weights, in the transformed domain.
//
// Each frequency's product M = U V of the forward pass gives dU = dM V', summed over tiles and
// images: 64 numbers for a pair of channels where the direct sum has K * K for every pixel. At the
// very end the lanes are added up and dU goes back through the adjoint of the filter's transform.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "winograd.hpp"

// Writes the weights (CO, CI, K, K) whose transforms are sums(f, q, pair): those of the pairs of
// channels from `pair`, ci * CO + co, at x frequency f and y frequency q.
template <class S, class Sums>
ALWAYS_INLINE void write_filters(float* weight, Sums&& sums) {
  constexpr int N = winograd::FILTERS, R = S::K, PAIRS = S::CI * S::CO;
  for (int first = 0; first < PAIRS; first += N) {
    winograd::Filters g[R][R];
    winograd::adjoint_filters<S::POINTS, R>([&](int f, int q) { return sums(f, q, first); }, g);
    for (int i = 0; i < N && first + i < PAIRS; i++) {
      int ci = (first + i) / S::CO, co = (first + i) % S::CO;
      float* to = weight + (co * S::CI + ci) * R * R;
      for (int k = 0; k < R * R; k++) to[k] = (float)g[k / R][k % R][i];
    }
  }
}

template <class S>
class WinogradGradient {
 public:
  static constexpr int F = S::POINTS;

  // The sums of what follows go to the weights (CO, CI, K, K) and the biases (CO).
  void begin(float* weight, float* bias) {
    weight_ = weight, bias_ = bias;
    std::memset(begun_, 0, sizeof begun_);
    std::memset((void*)biases_, 0, sizeof biases_);
  }

  // A row of the convolution's gradient, for the biases.
  void row_arrived(const Vec* g) {
    for (int x = 0; x < S::WC; x++)
      for (int c = 0; c < S::CO; c++) biases_[c] += g[x * S::CO + c];
  }

  // A row of TX tiles at one frequency: in[tile][CI] and g[tile][CO].
  template <int TX>
  ALWAYS_INLINE void tiles_arrived(int frequency, const Vec* in, const Vec* g) {
    constexpr Blocking B = best_blocking(S::CI, S::CO);
    Vec* sums = sums_ + (size_t)frequency * PAIRS;
    const bool begun = begun_[frequency];
    begun_[frequency] = true;
    over_blocks<S::CI, B.tiles>([&](int ci, auto ib_) {
      constexpr int ib = decltype(ib_)::value;
      over_blocks<S::CO, B.channels>([&](int co, auto ob_) {
        constexpr int ob = decltype(ob_)::value;
        Vec s[ib][ob];
        UNROLL for (int i = 0; i < ib; i++)
          UNROLL for (int o = 0; o < ob; o++) s[i][o] = begun ? sums[(ci + i) * S::CO + co + o] : Vec{};
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

  NEVER_INLINE void finish() {
    write_filters<S>(weight_, [&](int f, int q, int pair) {
      winograd::Filters u{};
      if (begun_[f * F + q])
        for (int i = 0; i < winograd::FILTERS; i++)
          u[i] = sum_of_lanes(sums_[(size_t)(f * F + q) * PAIRS + pair + i]);
      return u;
    });
    for (int co = 0; co < S::CO; co++) bias_[co] = sum_of_lanes(biases_[co]);
  }

 private:
  static constexpr int PAIRS = S::CI * S::CO;
  float *weight_, *bias_;
  bool begun_[F * F];  // whether a frequency has sums: the first row of tiles writes them
  // [x frequency][y frequency][CI][CO], and what the last whole vector of filters takes beyond.
  Vec sums_[(size_t)F * F * PAIRS + winograd::FILTERS];
  Vec biases_[S::CO];
};
