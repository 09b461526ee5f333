// Vectors over places of one image: loads that need no alignment, and lanes put in another order.
//
// Every shuffle's order is known when the kernel is compiled, so that the compiler finds the
// instruction for it.
#pragma once

#include <utility>

#include "lanes.hpp"

constexpr int vectors(int count) { return (count + LANES - 1) / LANES; }

ALWAYS_INLINE Vec load_vec(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

ALWAYS_INLINE void store_vec(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// Keeps a vector that serves several multiplications in a register. GCC would else read it from
// memory in each of them, and where loads cross cache lines they are what limits.
ALWAYS_INLINE void pin(Vec& v) {
#if defined(__AVX512VL__)
  asm("" : "+v"(v));
#elif defined(__SSE2__)
  asm("" : "+x"(v));
#else
  (void)v;
#endif
}

// v in the lanes from FIRST up to, not including, END; else 0.
template <int FIRST, int END, size_t... I>
ALWAYS_INLINE Vec only_lanes(Vec v, std::index_sequence<I...>) {
  return (Vec)((Ints)v & Ints{((int)I >= FIRST && (int)I < END ? -1 : 0)...});
}
template <int FIRST, int END>
ALWAYS_INLINE Vec only(Vec v) {
  if constexpr (FIRST <= 0 && END >= LANES) return v;
  return only_lanes<FIRST, END>(v, std::make_index_sequence<LANES>{});
}

// Lane i of the result is lane Order::at(i) of a's lanes followed by b's.
template <class Order, size_t... I>
ALWAYS_INLINE Vec in_order(Vec a, Vec b, std::index_sequence<I...>) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, Order::at(I)...);
#else
  return __builtin_shuffle(a, b, Ints{Order::at(I)...});
#endif
}
template <class Order>
ALWAYS_INLINE Vec shuffled(Vec a, Vec b) {
  return in_order<Order>(a, b, std::make_index_sequence<LANES>{});
}

// The lanes of b moved up by SHIFT, 0 < SHIFT <= LANES; those of a, which stand before them, follow.
template <int SHIFT>
struct MovedUp {
  static constexpr int at(int lane) { return lane + LANES - SHIFT; }
};

// Lane t is the number t * STRIDE + K of the source vectors laid end to end.
template <int STRIDE, int K>
struct FromTwo {
  static constexpr int at(int lane) {
    int from = lane * STRIDE + K;
    return from < 2 * LANES ? from : 0;
  }
};
template <int STRIDE, int K, int SOURCE>
struct FromFurther {
  static constexpr int at(int lane) {
    int from = lane * STRIDE + K;
    return from / LANES == SOURCE ? LANES + from % LANES : lane;
  }
};
template <int STRIDE, int K, int SOURCE, int SOURCES>
ALWAYS_INLINE Vec every(const Vec (&source)[SOURCES], Vec so_far) {
  if constexpr (SOURCE < SOURCES)
    return every<STRIDE, K, SOURCE + 1>(
        source, shuffled<FromFurther<STRIDE, K, SOURCE>>(so_far, source[SOURCE]));
  return so_far;
}

template <int STRIDE, int COUNT, int OUTPUTS, size_t... K>
ALWAYS_INLINE void unweave_all(const float* row, Vec (&out)[OUTPUTS], std::index_sequence<K...>) {
  constexpr int LAST = (COUNT - 1) * STRIDE + OUTPUTS - 1;
  constexpr int SOURCES = LAST / LANES + 1 < 2 ? 2 : LAST / LANES + 1;
  Vec source[SOURCES];
  UNROLL for (int i = 0; i < SOURCES; i++) source[i] = load_vec(row + i * LANES);
  ((out[K] = every<STRIDE, K, 2>(source, shuffled<FromTwo<STRIDE, K>>(source[0], source[1]))), ...);
}
// Lane t of out[k] becomes row[t * STRIDE + k], for t < COUNT <= LANES. Other lanes are anything.
// May read two vectors, and up to the vector of the last number that is wanted.
template <int STRIDE, int COUNT, int OUTPUTS>
ALWAYS_INLINE void unweave(const float* row, Vec (&out)[OUTPUTS]) {
  unweave_all<STRIDE, COUNT>(row, out, std::make_index_sequence<OUTPUTS>{});
}

template <int WAYS, int AT>
struct WovenFirst {
  static constexpr int at(int lane) {
    int x = AT * LANES + lane;
    return x % WAYS == 0 ? x / WAYS % LANES : (x % WAYS == 1 ? LANES + x / WAYS % LANES : 0);
  }
};
template <int WAYS, int AT, int SOURCE>
struct WovenNext {
  static constexpr int at(int lane) {
    int x = AT * LANES + lane;
    return x % WAYS == SOURCE ? LANES + x / WAYS % LANES : lane;
  }
};
template <int WAYS, int AT, int SOURCE>
ALWAYS_INLINE Vec woven(const Vec (&in)[WAYS], Vec so_far) {
  if constexpr (SOURCE < WAYS)
    return woven<WAYS, AT, SOURCE + 1>(in, shuffled<WovenNext<WAYS, AT, SOURCE>>(so_far, in[SOURCE]));
  return so_far;
}
template <int WAYS, size_t... AT>
ALWAYS_INLINE void weave_all(const Vec (&in)[WAYS], float* row, std::index_sequence<AT...>) {
  if constexpr (WAYS == 1) store_vec(row, in[0]);
  else
    (store_vec(row + AT * LANES,
               woven<WAYS, AT, 2>(in, shuffled<WovenFirst<WAYS, AT>>(in[0], in[1]))),
     ...);
}
// row[t * WAYS + j] becomes lane t of in[j], in OUTPUTS vectors.
template <int OUTPUTS, int WAYS>
ALWAYS_INLINE void weave(const Vec (&in)[WAYS], float* row) {
  weave_all<WAYS>(in, row, std::make_index_sequence<OUTPUTS>{});
}

// Lane i becomes the sum of the lanes of v[i]; in halves, as few additions as can be.
template <int HALF>
struct LowerOfPairs {
  static constexpr int at(int lane) { return lane & HALF ? LANES + (lane ^ HALF) : lane; }
};
template <int HALF>
struct UpperOfPairs {
  static constexpr int at(int lane) { return lane & HALF ? LANES + lane : lane ^ HALF; }
};
template <int HALF = 1>
ALWAYS_INLINE Vec sums_of_all(const Vec (&v)[LANES / HALF]) {
  if constexpr (HALF == LANES) return v[0];
  else {
    Vec next[LANES / HALF / 2];
    UNROLL for (int i = 0; i < LANES / HALF / 2; i++) {
      Vec a = v[2 * i], b = v[2 * i + 1];
      next[i] = shuffled<LowerOfPairs<HALF>>(a, b) + shuffled<UpperOfPairs<HALF>>(a, b);
    }
    return sums_of_all<2 * HALF>(next);
  }
}
ALWAYS_INLINE Vec lane_sums(const Vec (&v)[LANES]) {
#if defined(__AVX2__) && LANES == 8
  __m256 a = _mm256_hadd_ps((__m256)v[0], (__m256)v[1]), b = _mm256_hadd_ps((__m256)v[2], (__m256)v[3]);
  __m256 c = _mm256_hadd_ps((__m256)v[4], (__m256)v[5]), d = _mm256_hadd_ps((__m256)v[6], (__m256)v[7]);
  a = _mm256_hadd_ps(a, b), c = _mm256_hadd_ps(c, d);
  return (Vec)_mm256_add_ps(_mm256_permute2f128_ps(a, c, 0x20), _mm256_permute2f128_ps(a, c, 0x31));
#else
  return sums_of_all(v);
#endif
}

// Four numbers in the lowest lanes of a vector, 0 in the others.
typedef float Quad __attribute__((vector_size(16)));
// COUNT numbers, 1, 2 or 4. By way of memory a processor would wait for the store.
template <int COUNT>
ALWAYS_INLINE Quad load_quad(const float* p) {
#if defined(__SSE2__)
  if constexpr (COUNT == 1) return (Quad)_mm_load_ss(p);
  if constexpr (COUNT == 2) return (Quad)_mm_castpd_ps(_mm_load_sd((const double*)p));
#endif
  Quad q{};
  std::memcpy(&q, p, sizeof(float) * COUNT);
  return q;
}
ALWAYS_INLINE Vec widened(Quad q) {
#if LANES == 4
  return (Vec)q;
#elif defined(__AVX512F__) && LANES == 16
  return (Vec)_mm512_zextps128_ps512((__m128)q);
#elif defined(__AVX__) && LANES == 8
  return (Vec)_mm256_zextps128_ps256((__m128)q);
#else
  Vec v{};
  std::memcpy(&v, &q, sizeof q);
  return v;
#endif
}

ALWAYS_INLINE Quad lowest(Vec v) {
#if LANES == 4
  return (Quad)v;
#elif defined(__AVX512F__) && LANES == 16
  return (Quad)_mm512_castps512_ps128((__m512)v);
#elif defined(__AVX__) && LANES == 8
  return (Quad)_mm256_castps256_ps128((__m256)v);
#else
  return Quad{v[0], v[1], v[2], v[3]};
#endif
}

// COUNT numbers again and again.
template <int COUNT>
ALWAYS_INLINE Vec repeated(const float* p) {
#if defined(__AVX512DQ__) && LANES == 16
  if constexpr (COUNT == 2) {
    double two;
    std::memcpy(&two, p, sizeof two);
    return (Vec)_mm512_set1_pd(two);
  }
  if constexpr (COUNT == 4) return (Vec)_mm512_broadcast_f32x4(_mm_loadu_ps(p));
  if constexpr (COUNT == 8) return (Vec)_mm512_broadcast_f32x8(_mm256_loadu_ps(p));
#endif
  float all[LANES];
  for (int i = 0; i < LANES; i++) all[i] = p[i % COUNT];
  return load_vec(all);
}

// Of N vectors the even lanes, and what those become, then the odd lanes.
template <int N>
ALWAYS_INLINE void spread(const Vec* in, Vec* out, int stride) {
  if constexpr (N == 1) {
    *out = *in;
  } else {
    Vec even[N / 2], odd[N / 2];
    UNROLL for (int i = 0; i < N / 2; i++) {
      even[i] = shuffled<FromTwo<2, 0>>(in[2 * i], in[2 * i + 1]);
      odd[i] = shuffled<FromTwo<2, 1>>(in[2 * i], in[2 * i + 1]);
    }
    spread<N / 2>(even, out, 2 * stride);
    spread<N / 2>(odd, out + stride, 2 * stride);
  }
}
// Lane k of sums[i] is the sum of the i-th of PARTS equal parts of in[k].
template <int PARTS, int N = LANES>
ALWAYS_INLINE void sums_of_parts(const Vec (&in)[N], Vec (&sums)[PARTS]) {
  if constexpr (N == PARTS) {
    spread<N>(in, sums, 1);
  } else {
    Vec half[N / 2];
    UNROLL for (int i = 0; i < N / 2; i++)
      half[i] = shuffled<FromTwo<2, 0>>(in[2 * i], in[2 * i + 1]) +
                shuffled<FromTwo<2, 1>>(in[2 * i], in[2 * i + 1]);
    sums_of_parts<PARTS, N / 2>(half, sums);
  }
}
