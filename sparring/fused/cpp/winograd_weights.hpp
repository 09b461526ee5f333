// What a Winograd layer's products read, in their order, of weights (CO, CI, K, K).
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "ties.hpp"
#include "winograd.hpp"

// Where the filter of channel ci of D x D pixels in one (`winograd_convolution.hpp`), and of output co,
// begins in the weights (CO, CI, K, K), and where its number k stands from there on.
template <class S>
constexpr int first_tap(int ci, int co) {
  constexpr int D = S::STRIDE;
  const int phase = ci / S::CI;
  return ((co * S::CI + ci % S::CI) * S::K + phase / D) * S::K + phase % D;
}
template <class S>
constexpr int tap(int k) {
  constexpr int D = S::STRIDE, R = S::K / D;
  return (k / R * S::K + k % R) * D;
}

// FORWARD and BACKWARD: output channels of a register block in either direction.
template <class S, int FORWARD, int BACKWARD>
struct WinogradWeights {
  static constexpr int F = S::POINTS, D = S::STRIDE, R = S::K / D, CI = D * D * S::CI;
  alignas(64) float forward[(size_t)F * F * S::CO * CI];
  alignas(64) float backward[(size_t)F * F * S::CO * CI];
  const float* bias;
  Rounding<S::CO> rounding;  // of what is pooled

  void take(const float* weight, const float* b) {
    bias = b;
    if constexpr (S::POOL) rounding.take(weight, b, S::CI * R * R);
    transform<S::CO, FORWARD>(
        CI, [&](int ci, int co) { return weight + first_tap<S>(ci, co); }, forward);
    transform<CI, BACKWARD>(
        S::CO, [&](int co, int ci) { return weight + first_tap<S>(ci, co); }, backward);
  }

 private:
  // out[x frequency][y frequency] and then, of filter(d, c), as blocks of channels c lie.
  template <int CHANNELS, int CB, class Filter>
  static NEVER_INLINE void transform(int depth, Filter&& filter, float* out) {
    constexpr int PAIRS = CI * S::CO, N = winograd::FILTERS;
    for (int first = 0; first < PAIRS; first += N) {
      winograd::Filters g[R][R];
      for (int i = 0; i < N; i++) {
        int pair = first + i < PAIRS ? first + i : PAIRS - 1;
        int start = pair / (depth * CB) * CB, at = pair - start * depth;
        int width = CHANNELS - start < CB ? CHANNELS - start : CB;
        const float* from = filter(at / width, start + at % width);
        for (int k = 0; k < R * R; k++) g[k / R][k % R][i] = from[tap<S>(k)];
      }
      int count = PAIRS - first < N ? PAIRS - first : N;
      winograd::transform_filters<F, R>(g, [&](int f, int q, winograd::Filters u) {
        float* to = out + (size_t)(f * F + q) * PAIRS + first;
        if (count == N)
          for (int i = 0; i < N; i++) to[i] = (float)u[i];
        else
          for (int i = 0; i < count; i++) to[i] = (float)u[i];
      });
    }
  }
};
