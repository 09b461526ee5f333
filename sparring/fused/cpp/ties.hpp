// Which of the four pixels under a pooling window are equal, although rounding tells them apart.
//
// Of equal pixels the first wins, as in PyTorch. Pixels are equal where the patches of input under
// them are, and then in every channel, as on a plain background; Winograd's transforms round them
// apart, by less than a bound that `Rounding` knows. So two pixels count as equal if they lie
// within the bound in every channel. Values that come so near to one another in some channel only
// are different numbers, of which the larger wins. Nothing here asks what lanes stand for.
#pragma once

#include "lanes.hpp"

// |a| <= bound, false for NaN.
#if defined(__AVX512VL__) && LANES == 16
ALWAYS_INLINE Mask within(Vec a, Vec bound) {
  return _mm512_cmp_ps_mask(_mm512_abs_ps((__m512)a), (__m512)bound, _CMP_LE_OQ);
}
#elif defined(__AVX512VL__) && LANES == 8
ALWAYS_INLINE Mask within(Vec a, Vec bound) {
  __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), (__m256)a);
  return _mm256_cmp_ps_mask(size, (__m256)bound, _CMP_LE_OQ);
}
#else
ALWAYS_INLINE Mask within(Vec a, Vec bound) {
  return bits((Vec)((Ints)a & 0x7fffffff) <= bound);
}
#endif

// The pixels under a window, in reading order: a b above c d.
struct Window {
  Vec a, b, c, d;
};

class Ties {
 public:
  // One channel more: only pixels that lie within `bound` of each other stay equal.
  ALWAYS_INLINE void narrow(const Window& w, Vec bound) {
    ab &= within(w.a - w.b, bound);
    ac &= within(w.a - w.c, bound);
    ad &= within(w.a - w.d, bound);
    bc &= within(w.b - w.c, bound);
    bd &= within(w.b - w.d, bound);
    cd &= within(w.c - w.d, bound);
  }
  bool any() const { return ab | ac | ad | bc | bd | cd; }
  // Equal so far in these lanes, and in no others.
  static Ties in(Mask lanes) {
    Ties t;
    t.ab = t.ac = t.ad = t.bc = t.bd = t.cd = lanes;
    return t;
  }
  static Ties none() { return in(0); }

  static constexpr Mask ALL = (Mask) ~(Mask)0;
  Mask ab = ALL, ac = ALL, ad = ALL, bc = ALL, bd = ALL, cd = ALL;
};

// The largest pixel of a window, and which one it is.
struct Largest {
  Vec value;
  Mask a, b, c, d;
};

ALWAYS_INLINE Largest largest(const Window& w, const Ties& equal) {
  Mask right = beats(w.b, w.a) & ~equal.ab, low_right = beats(w.d, w.c) & ~equal.cd;
  Vec upper = choose(right, w.b, w.a), lower = choose(low_right, w.d, w.c);
  Mask of_a = (low_right & equal.ad) | (~low_right & equal.ac);
  Mask of_b = (low_right & equal.bd) | (~low_right & equal.bc);
  Mask low = beats(lower, upper) & ~((right & of_b) | (~right & of_a));
  return {choose(low, lower, upper), (Mask)(~low & ~right), (Mask)(~low & right),
          (Mask)(low & ~low_right), (Mask)(low & low_right)};
}

// How far apart rounding may leave outputs of a Winograd convolution that are equal:
//
//   SPREAD u |x| |w| + 2 u |b|
//
// with u = 2^-24, |x| the Euclidean norm of the inputs of the tile, |w| that of the channel's
// weights and b its bias, which rounds once more. No sum of products exceeds |x| |w|, and what the
// transforms make of it is a few times as much: 6.7 were seen. More than needed would take pixels
// for equal whose contrast is faint.
template <int CHANNELS>
class Rounding {
 public:
  static constexpr float UNIT = 0x1p-24f, SPREAD = 8;

  // Weights are (CHANNELS, TAPS); there may be no biases.
  void take(const float* weight, const float* bias, int taps) {
    for (int c = 0; c < CHANNELS; c++) {
      double squares = 0;
      for (int i = 0; i < taps; i++) squares += (double)weight[c * taps + i] * weight[c * taps + i];
      of_norm_[c] = SPREAD * UNIT * (float)std::sqrt(squares);
      always_[c] = bias ? 2 * UNIT * std::fabs(bias[c]) : 0.0f;
    }
  }

  ALWAYS_INLINE Vec bound(int channel, Vec norm) const {
    return of_norm_[channel] * norm + always_[channel];
  }

 private:
  float of_norm_[CHANNELS], always_[CHANNELS];
};
