// Images side by side in memory, and in the lanes of vectors.
#pragma once

#include "tile_lanes.hpp"

// Lane i of v[k] becomes lane k of v[i].
template <int HALF = LANES / 2>
ALWAYS_INLINE void transpose(Vec (&v)[LANES]) {
  UNROLL for (int i = 0; i < LANES; i++)
    if (!(i & HALF)) {
      const Vec a = v[i], b = v[i + HALF];
      v[i] = shuffled<LowerOfPairs<HALF>>(a, b);
      v[i + HALF] = shuffled<UpperOfPairs<HALF>>(a, b);
    }
  if constexpr (HALF > 1) transpose<HALF / 2>(v);
}

// Calls body(first pixel) for blocks of LANES pixels that cover COUNT, of which there are as many; the last
// one may overlap the one before it.
template <int COUNT, class Body>
ALWAYS_INLINE void over_squares(Body&& body) {
  static_assert(COUNT >= LANES, "a square needs as many pixels as images");
  for (int p = 0; p + LANES <= COUNT; p += LANES) body(p);
  if constexpr (COUNT % LANES) body(COUNT - LANES);
}

// out[p * STRIDE] becomes number p of every image, for p < COUNT.
template <int COUNT, int STRIDE>
inline void to_lanes(const float* const (&images)[LANES], Vec* out) {
  if constexpr (COUNT < LANES) {
    for (int p = 0; p < COUNT; p++)
      UNROLL for (int i = 0; i < LANES; i++) out[p * STRIDE][i] = images[i][p];
  } else {
    over_squares<COUNT>([&](int p) {
      Vec v[LANES];
      UNROLL for (int i = 0; i < LANES; i++) v[i] = load_vec(images[i] + p);
      transpose(v);
      UNROLL for (int k = 0; k < LANES; k++) out[(p + k) * STRIDE] = v[k];
    });
  }
}

// The way back, of the first `count` images, which are DISTANCE numbers apart.
template <int COUNT, int STRIDE, int DISTANCE>
inline void from_lanes(const Vec* in, float* images, int count) {
  if constexpr (COUNT < LANES) {
    for (int p = 0; p < COUNT; p++)
      for (int i = 0; i < count; i++) images[i * DISTANCE + p] = in[p * STRIDE][i];
  } else {
    over_squares<COUNT>([&](int p) {
      Vec v[LANES];
      UNROLL for (int k = 0; k < LANES; k++) v[k] = in[(p + k) * STRIDE];
      transpose(v);
      if (count == LANES)
        UNROLL for (int i = 0; i < LANES; i++) store_vec(images + i * DISTANCE + p, v[i]);
      else
        for (int i = 0; i < count; i++) store_vec(images + i * DISTANCE + p, v[i]);
    });
  }
}
