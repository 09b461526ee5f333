// Winograd's minimal filtering with F points: M outputs of an R-tap filter from F inputs, M + R = F + 1.
//
// The 8 points are 0, 1, -1, 2, -2, 1/2, -1/2 and infinity; the 7 lack 0, the 6 the halves, the 5 lack 0
// and the twos. y = A' ((G g) * (B' d)), where B' does not depend on R. A two-dimensional convolution
// nests two of them. The gradient with respect to the inputs is the exact adjoint: B ((G g) * (A dy)),
// overlapping outputs added.
//
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; the 8
// points: Barabasz, Anderson, Soodhalter and Gregg, "Error Analysis and Improving the Accuracy of
// Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020.
#pragma once

#include "lanes.hpp"

namespace winograd {

// The finite points: 0 if they are odd in number, then pairs p, -p. (Of four, halves round less than twos.)
template <int F>
struct Points {
  static constexpr bool ZERO = F % 2 == 0, TWOS = F >= 6, HALVES = F != 6;
  static constexpr int ONE = ZERO, TWO = ONE + 2, HALF = TWO + 2 * TWOS;  // where pairs begin
  double at[F - 1];
  constexpr Points() : at() {
    at[ONE] = 1, at[ONE + 1] = -1;
    if (TWOS) at[TWO] = 2, at[TWO + 1] = -2;
    if (HALVES) at[HALF] = 0.5, at[HALF + 1] = -0.5;
  }
};

// G: the filter's polynomial at each point, over what B' has there: row i of B' holds the coefficients of
// the product of x - p over all other points p, that of 0 with the sign that makes its first one
// positive; infinity takes the last.
template <int F, int R>
struct FilterMatrix {
  double at[F][R];
  constexpr FilterMatrix() : at() {
    constexpr Points<F> POINT;
    for (int f = 0; f < F - 1; f++) {
      double scale = 1, power = 1;
      for (int k = 0; k < F - 1; k++)
        if (k != f) scale *= POINT.at[f] - POINT.at[k];
      if (POINT.at[f] == 0 && scale < 0) scale = -scale;
      for (int k = 0; k < R; k++, power *= POINT.at[f]) at[f][k] = power / scale;
    }
    at[F - 1][R - 1] = 1;
  }
};
template <int F, int R>
constexpr FilterMatrix<F, R> G{};

// Vectors of tiles that go through an x-frequency together so that the first-level cache holds all they
// touch: both sides of F products, and the lines of what these are made from and become. None if it
// holds not one.
constexpr int CACHE = 28 * 1024;
constexpr int near_tiles(int f, int m, int inputs, int outputs) {
  return CACHE / ((int)sizeof(Vec) * (f * (2 * inputs + outputs) + m * outputs));
}

// So many filters' numbers side by side. In double: an error here would stand in every product.
constexpr int FILTERS = LANES / 2;
typedef double Filters __attribute__((vector_size(8 * FILTERS)));

// Filters g[row][column] to u[x frequency][y frequency] = G g G'.
template <int F, int R, class Put>
ALWAYS_INLINE void transform_filters(const Filters (&g)[R][R], Put&& put) {
  for (int f = 0; f < F; f++) {
    Filters column[R];
    UNROLL for (int ky = 0; ky < R; ky++) {
      column[ky] = Filters{};
      UNROLL for (int kx = 0; kx < R; kx++) column[ky] += G<F, R>.at[f][kx] * g[ky][kx];
    }
    for (int q = 0; q < F; q++) {
      Filters u{};
      UNROLL for (int ky = 0; ky < R; ky++) u += G<F, R>.at[q][ky] * column[ky];
      put(f, q, u);
    }
  }
}

// The adjoint, from the gradient u(f, q) of transformed filters to that of the filters.
template <int F, int R, class Get>
ALWAYS_INLINE void adjoint_filters(Get&& get, Filters (&g)[R][R]) {
  UNROLL for (int ky = 0; ky < R; ky++) UNROLL for (int kx = 0; kx < R; kx++) g[ky][kx] = Filters{};
  for (int f = 0; f < F; f++) {
    Filters column[R];
    UNROLL for (int ky = 0; ky < R; ky++) column[ky] = Filters{};
    for (int q = 0; q < F; q++) {
      Filters u = get(f, q);
      UNROLL for (int ky = 0; ky < R; ky++) column[ky] += G<F, R>.at[q][ky] * u;
    }
    UNROLL for (int ky = 0; ky < R; ky++)
      UNROLL for (int kx = 0; kx < R; kx++) g[ky][kx] += G<F, R>.at[f][kx] * column[ky];
  }
}

// Rows of B' for the three pairs, of six inputs: of polynomials that lack the factor x.
ALWAYS_INLINE void at_pairs(const Vec* d, Vec* u) {
  Vec e = d[1] + d[5] - 4.25f * d[3], o = d[0] + d[4] - 4.25f * d[2];
  u[0] = e + o;
  u[1] = e - o;
  e = 0.25f * d[1] - 1.25f * d[3] + d[5];
  o = 0.5f * d[0] - 2.5f * d[2] + 2.0f * d[4];
  u[2] = e + o;
  u[3] = e - o;
  e = 4.0f * d[1] - 5.0f * d[3] + d[5];
  o = 2.0f * d[0] - 2.5f * d[2] + 0.5f * d[4];
  u[4] = e + o;
  u[5] = e - o;
}

// B' d.
ALWAYS_INLINE void transform_input(const Vec (&d)[8], Vec (&u)[8]) {
  u[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
  u[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
  at_pairs(d + 1, u + 1);
}

ALWAYS_INLINE void transform_input(const Vec (&d)[7], Vec (&u)[7]) {
  u[6] = d[6] - d[0] + 5.25f * (d[2] - d[4]);
  at_pairs(d, u);
}

ALWAYS_INLINE void transform_input(const Vec (&d)[6], Vec (&u)[6]) {
  u[0] = 4.0f * d[0] + d[4] - 5.0f * d[2];
  u[5] = 4.0f * d[1] + d[5] - 5.0f * d[3];
  Vec e = d[4] - 4.0f * d[2], o = d[3] - 4.0f * d[1];
  u[1] = e + o;
  u[2] = e - o;
  e = d[4] - d[2];
  o = 2.0f * (d[3] - d[1]);
  u[3] = e + o;
  u[4] = e - o;
}

ALWAYS_INLINE void transform_input(const Vec (&d)[5], Vec (&u)[5]) {
  u[4] = 0.25f * d[0] + d[4] - 1.25f * d[2];
  Vec e = d[3] - 0.25f * d[1], o = d[2] - 0.25f * d[0];
  u[0] = e + o;
  u[1] = e - o;
  e = d[3] - d[1];
  o = 0.5f * (d[2] - d[0]);
  u[2] = e + o;
  u[3] = e - o;
}

// Their adjoint, with that of infinity, u[6], which has the factor x as little.
ALWAYS_INLINE void from_pairs(const Vec* u, Vec* d) {
  Vec s1 = u[0] + u[1], o1 = u[0] - u[1], s2 = u[2] + u[3], o2 = u[2] - u[3];
  Vec s3 = u[4] + u[5], o3 = u[4] - u[5];
  d[0] = o1 - u[6] + 0.5f * o2 + 2.0f * o3;
  d[1] = s1 + 0.25f * s2 + 4.0f * s3;
  d[2] = 5.25f * u[6] - 4.25f * o1 - 2.5f * (o2 + o3);
  d[3] = -4.25f * s1 - 1.25f * s2 - 5.0f * s3;
  d[4] = o1 - 5.25f * u[6] + 2.0f * o2 + 0.5f * o3;
  d[5] = s1 + s2 + s3;
  d[6] = u[6];
}

// B u.
ALWAYS_INLINE void adjoint_input(const Vec (&u)[8], Vec (&d)[8]) {
  from_pairs(u + 1, d + 1);
  d[0] = u[0];
  d[2] = d[2] - 5.25f * u[0];
  d[4] += 5.25f * u[0];
  d[6] = d[6] - u[0];
}

ALWAYS_INLINE void adjoint_input(const Vec (&u)[7], Vec (&d)[7]) { from_pairs(u, d); }

ALWAYS_INLINE void adjoint_input(const Vec (&u)[6], Vec (&d)[6]) {
  Vec s1 = u[1] + u[2], o1 = u[1] - u[2], s2 = u[3] + u[4], o2 = u[3] - u[4];
  d[0] = 4.0f * u[0];
  d[1] = 4.0f * (u[5] - o1) - 2.0f * o2;
  d[2] = -5.0f * u[0] - 4.0f * s1 - s2;
  d[3] = o1 + 2.0f * o2 - 5.0f * u[5];
  d[4] = u[0] + s1 + s2;
  d[5] = u[5];
}

ALWAYS_INLINE void adjoint_input(const Vec (&u)[5], Vec (&d)[5]) {
  Vec s1 = u[0] + u[1], o1 = u[0] - u[1], s2 = u[2] + u[3], o2 = u[2] - u[3];
  d[0] = 0.25f * (u[4] - o1) - 0.5f * o2;
  d[1] = -0.25f * s1 - s2;
  d[2] = o1 + 0.5f * o2 - 1.25f * u[4];
  d[3] = s1 + s2;
  d[4] = u[4];
}

// Powers of the points 2 and 1/2. Tables and not a function, which would be called at run time.
constexpr float POWER[8] = {1, 2, 4, 8, 16, 32, 64, 128};
constexpr float INVERSE[8] = {1, 1 / 2.f, 1 / 4.f, 1 / 8.f, 1 / 16.f, 1 / 32.f, 1 / 64.f, 1 / 128.f};

// A' m: output i is the sum of m_f p_f^i over the points p_f, and infinity joins the last.
template <int M, int F>
ALWAYS_INLINE void transform_output(const Vec (&m)[F], Vec (&y)[M]) {
  using P = Points<F>;
  const Vec s1 = m[P::ONE] + m[P::ONE + 1], o1 = m[P::ONE] - m[P::ONE + 1];
  UNROLL for (int i = 0; i < M; i++) y[i] = i % 2 ? o1 : s1;
  if constexpr (P::TWOS) {
    const Vec s2 = m[P::TWO] + m[P::TWO + 1], o2 = m[P::TWO] - m[P::TWO + 1];
    UNROLL for (int i = 0; i < M; i++) y[i] += POWER[i] * (i % 2 ? o2 : s2);
  }
  if constexpr (P::HALVES) {
    const Vec s3 = m[P::HALF] + m[P::HALF + 1], o3 = m[P::HALF] - m[P::HALF + 1];
    UNROLL for (int i = 0; i < M; i++) y[i] += INVERSE[i] * (i % 2 ? o3 : s3);
  }
  if constexpr (P::ZERO) y[0] += m[0];
  y[M - 1] += m[F - 1];
}

// A y.
template <int M, int F>
ALWAYS_INLINE void adjoint_output(const Vec (&y)[M], Vec (&m)[F]) {
  static_assert(M > 1);
  using P = Points<F>;
  if constexpr (P::ZERO) m[0] = y[0];
  m[F - 1] = y[M - 1];
  Vec e1 = y[0], e2 = y[0], e3 = y[0];
  UNROLL for (int i = 2; i < M; i += 2) {
    e1 += y[i];
    if constexpr (P::TWOS) e2 += POWER[i] * y[i];
    if constexpr (P::HALVES) e3 += INVERSE[i] * y[i];
  }
  Vec o1 = y[1], o2 = Vec{}, o3 = Vec{};
  if constexpr (P::TWOS) o2 = 2.0f * y[1];
  if constexpr (P::HALVES) o3 = 0.5f * y[1];
  UNROLL for (int i = 3; i < M; i += 2) {
    o1 += y[i];
    if constexpr (P::TWOS) o2 += POWER[i] * y[i];
    if constexpr (P::HALVES) o3 += INVERSE[i] * y[i];
  }
  m[P::ONE] = e1 + o1;
  m[P::ONE + 1] = e1 - o1;
  if constexpr (P::TWOS) {
    m[P::TWO] = e2 + o2;
    m[P::TWO + 1] = e2 - o2;
  }
  if constexpr (P::HALVES) {
    m[P::HALF] = e3 + o3;
    m[P::HALF + 1] = e3 - o3;
  }
}

}  // namespace winograd
