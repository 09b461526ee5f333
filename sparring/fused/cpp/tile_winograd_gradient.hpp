// The gradient of a Winograd convolution's weights for tiles in lanes, in the transformed domain.
//
// As in `winograd_gradient.hpp`, but the lanes are tiles of one image and are added up at once: a
// number for each pair of channels and frequency stays in cache, a vector would not.
#pragma once

#include "shapes.hpp"
#include "tile_lanes.hpp"
#include "winograd_gradient.hpp"

template <class S>
class TileWinogradGradient {
 public:
  static constexpr int F = S::POINTS;

  void begin(float* weight, float* bias) {
    std::memset((void*)this, 0, sizeof *this);
    weight_ = weight, bias_ = bias;
  }

  void add_bias(int c, Vec sums) { biases_[c] += sums; }

  // V vectors of tiles at x frequency f: in[y frequency][vector][CI] and g[y frequency][vector][CO].
  template <int V>
  NEVER_INLINE void add(int f, const Vec* in, const Vec* g) {
    Stage stage(STAGE_WEIGHTS);
    for (int q = 0; q < F; q++, in += V * S::CI, g += V * S::CO) {
      float* sums = sums_ + (size_t)(f * F + q) * PAIRS;
      for (int ci = 0; ci < S::CI; ci++)
        over_blocks<S::CO, LANES>([&](int co, auto count_) {
          constexpr int count = decltype(count_)::value;
          Vec s[LANES];
          UNROLL for (int i = 0; i < LANES; i++) {
            s[i] = Vec{};
            if (i < count)
              UNROLL for (int v = 0; v < V; v++) s[i] += in[v * S::CI + ci] * g[v * S::CO + co + i];
          }
          float* to = sums + ci * S::CO + co;
          Vec all = lane_sums(s);
          if constexpr (count == LANES) store_vec(to, load_vec(to) + all);
          else
            for (int i = 0; i < count; i++) to[i] += all[i];
        });
    }
  }

  void finish() {
    write_filters<S>(weight_, [&](int f, int q, int pair) {
      winograd::Filters u;
      const float* from = sums_ + (size_t)(f * F + q) * PAIRS + pair;
      for (int i = 0; i < winograd::FILTERS; i++) u[i] = from[i];
      return u;
    });
    for (int co = 0; co < S::CO; co++) bias_[co] = sum_of_lanes(biases_[co]);
  }

 private:
  static constexpr int PAIRS = S::CI * S::CO;
  float *weight_, *bias_;
  // [x frequency][y frequency][CI][CO], and what the last whole vector of filters takes beyond.
  alignas(64) float sums_[(size_t)F * F * PAIRS + winograd::FILTERS];
  Vec biases_[S::CO];
};
