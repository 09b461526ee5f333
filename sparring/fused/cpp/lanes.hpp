// Vectors of LANES floats, one image (or one channel) to a lane, and what the kernels ask of them.
//
// Arithmetic is GCC's and Clang's vector extension, so one source serves every instruction set.
// Only masks need intrinsics: a ReLU's mask is stored as one bit a lane, a thirty-second of what
// it stands for, so that the masks of a whole network stay in cache.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef LANES
#error "compile with -DLANES=16, 8 or 4"
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))
// A stage of its own in profiles, and a loop nest that the compiler optimises by itself.
#define NEVER_INLINE __attribute__((noinline))
#ifndef UNROLL  // -DUNROLL= leaves loops as they are: a kernel is compiled sooner, and slower
#define UNROLL _Pragma("GCC unroll 64")
#endif

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

#if LANES > 8
typedef uint16_t Mask;
#else
typedef uint8_t Mask;
#endif

// Vector registers that register blocks may fill: AVX-512 has 32 of any width, all else 16.
#if defined(__AVX512VL__) || defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif

// f - 0 is f for every f, signed zeros too; 0 + f would not be, and so cost an addition.
ALWAYS_INLINE Vec broadcast(float f) { return f - Vec{}; }

#if defined(__AVX512VL__) && LANES == 16
ALWAYS_INLINE Mask above(Vec a, Vec b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
}
ALWAYS_INLINE Mask positive(Vec a) {
  return _mm512_cmp_ps_mask((__m512)a, _mm512_setzero_ps(), _CMP_NLE_UQ);
}
ALWAYS_INLINE Mask no_number(Vec a) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q);
}
ALWAYS_INLINE Mask not_zero(Vec a) {
  return _mm512_cmp_ps_mask((__m512)a, _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
ALWAYS_INLINE Vec keep(Mask m, Vec a) { return (Vec)_mm512_maskz_mov_ps(m, (__m512)a); }
ALWAYS_INLINE Vec least(Vec a, Vec b) { return (Vec)_mm512_min_ps((__m512)a, (__m512)b); }
ALWAYS_INLINE Vec most(Vec a, Vec b) { return (Vec)_mm512_max_ps((__m512)a, (__m512)b); }
#elif defined(__AVX512VL__) && LANES == 8
ALWAYS_INLINE Mask above(Vec a, Vec b) {
  return _mm256_cmp_ps_mask((__m256)a, (__m256)b, _CMP_GT_OQ);
}
ALWAYS_INLINE Mask positive(Vec a) {
  return _mm256_cmp_ps_mask((__m256)a, _mm256_setzero_ps(), _CMP_NLE_UQ);
}
ALWAYS_INLINE Mask no_number(Vec a) {
  return _mm256_cmp_ps_mask((__m256)a, (__m256)a, _CMP_UNORD_Q);
}
ALWAYS_INLINE Mask not_zero(Vec a) {
  return _mm256_cmp_ps_mask((__m256)a, _mm256_setzero_ps(), _CMP_NEQ_UQ);
}
ALWAYS_INLINE Vec keep(Mask m, Vec a) { return (Vec)_mm256_maskz_mov_ps(m, (__m256)a); }
ALWAYS_INLINE Vec least(Vec a, Vec b) { return (Vec)_mm256_min_ps((__m256)a, (__m256)b); }
ALWAYS_INLINE Vec most(Vec a, Vec b) { return (Vec)_mm256_max_ps((__m256)a, (__m256)b); }
#else
ALWAYS_INLINE Mask bits(Ints truth) {
#if defined(__AVX2__) && LANES == 8
  return (Mask)_mm256_movemask_ps((__m256)truth);
#elif defined(__SSE2__) && LANES == 4
  return (Mask)_mm_movemask_ps((__m128)truth);
#else
  Mask m = 0;
  for (int i = 0; i < LANES; i++) m |= (Mask)((truth[i] & 1) << i);
  return m;
#endif
}
ALWAYS_INLINE Ints bit_of_lane() {
  Ints b;
  UNROLL for (int i = 0; i < LANES; i++) b[i] = 1 << i;
  return b;
}
ALWAYS_INLINE Mask above(Vec a, Vec b) { return bits(a > b); }
ALWAYS_INLINE Mask positive(Vec a) { return bits(~(a <= Vec{})); }
ALWAYS_INLINE Mask no_number(Vec a) { return bits(a != a); }
ALWAYS_INLINE Mask not_zero(Vec a) { return bits(~(a == Vec{})); }
ALWAYS_INLINE Vec keep(Mask m, Vec a) {
  return (Vec)((((Ints{} + (int32_t)m) & bit_of_lane()) != 0) & (Ints)a);
}
ALWAYS_INLINE Vec least(Vec a, Vec b) { return a < b ? a : b; }
ALWAYS_INLINE Vec most(Vec a, Vec b) { return a > b ? a : b; }
#endif
// above: a > b, false for NaN. positive: a > 0 or NaN, since a ReLU must not hide a NaN.
// no_number: NaN. not_zero: NaN too. keep: a where the mask's bit is set, else 0. least, most: b where either is NaN.

#if defined(__AVX512VL__) && LANES == 16
ALWAYS_INLINE Vec choose(Mask m, Vec a, Vec b) {
  return (Vec)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a);
}
#elif defined(__AVX512VL__) && LANES == 8
ALWAYS_INLINE Vec choose(Mask m, Vec a, Vec b) {
  return (Vec)_mm256_mask_blend_ps(m, (__m256)b, (__m256)a);
}
#else
ALWAYS_INLINE Vec choose(Mask m, Vec a, Vec b) {
  const Ints chosen = ((Ints{} + (int32_t)m) & bit_of_lane()) != 0;
  return (Vec)((chosen & (Ints)a) | (~chosen & (Ints)b));
}
#endif

ALWAYS_INLINE Vec magnitude(Vec v) { return most(v, -v); }

// exp(x) for x <= 0: 2^n exp(r) with |r| <= ln(2) / 2; from -87 down it stays what it is there.
ALWAYS_INLINE Vec exponential(Vec x) {
  const Vec magic = broadcast(12582912.0f);  // its last bit is worth 1
  x = most(broadcast(-87.0f), x);
  const Vec shifted = x * 1.44269504f + magic, n = shifted - magic;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r * r + r) + 1.0f;
  const Ints power = ((Ints)shifted - (Ints)magic + 127) << 23;
  return p * (Vec)power;
}

// Whether `next` takes the place of `best` in a maximum: it is larger, or no number, as in PyTorch.
ALWAYS_INLINE Mask beats(Vec next, Vec best) {
  return (Mask)(above(next, best) | no_number(next));
}

// In pairs: as few steps after one another as can be. N floats, lower half plus upper half.
template <int N, class V>
ALWAYS_INLINE float sum_of_halves(V v) {
  if constexpr (N == 1) {
    float s;
    std::memcpy(&s, &v, sizeof s);
    return s;
  } else {
    typedef float Half __attribute__((vector_size(2 * N)));
    Half halves[2];
    std::memcpy(halves, &v, sizeof v);
    return sum_of_halves<N / 2>((Half)(halves[0] + halves[1]));
  }
}
ALWAYS_INLINE float sum_of_lanes(Vec v) { return sum_of_halves<LANES>(v); }

ALWAYS_INLINE float largest_lane(Vec v) {
  float m = v[0];
  for (int i = 1; i < LANES; i++) m = v[i] > m ? v[i] : m;
  return m;
}

// What a sum over the pixels of an image needs at its end: nothing where images are the lanes.
struct ImagesInLanes {
  static Vec sum(Vec v) { return v; }
  static Vec largest(Vec v) { return v; }
};
struct PixelsInLanes {
  static Vec sum(Vec v) { return broadcast(sum_of_lanes(v)); }
  static Vec largest(Vec v) { return broadcast(largest_lane(v)); }
};

// What a layer that has no weights takes, and gives, in their place.
struct Weightless {
  struct Weights {
    void take(const float*, const float*) {}
  };
  struct Gradient {
    void begin(float*, float*) {}
    void finish() {}
  };
};
