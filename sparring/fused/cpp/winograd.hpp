// Winograd's minimal filtering with F points: M outputs of an R-tap filter from F inputs, M + R = F + 1.
//
// The 8 points are 0, 1, -1, 2, -2, 1/2, -1/2 and infinity; the 6 lack the halves. y = A' ((G g) *
// (B' d)), where B' does not depend on R. A two-dimensional convolution nests two of them. The gradient
// with respect to the inputs is the exact adjoint: B ((G g) * (A dy)), overlapping outputs added.
//
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; the 8
// points: Barabasz, Anderson, Soodhalter and Gregg, "Error Analysis and Improving the Accuracy of
// Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020.
#pragma once

#include "lanes.hpp"

namespace winograd {

constexpr double POINT[7] = {0, 1, -1, 2, -2, 0.5, -0.5};

// B': row i holds the coefficients of input i's polynomial; the classic scaling by N_i.
template <int F>
struct InputMatrix;
template <>
struct InputMatrix<8> {
  static constexpr double AT[8][8] = {
      {1, 0, -5.25, 0, 5.25, 0, -1, 0},      {0, 1, 1, -4.25, -4.25, 1, 1, 0},
      {0, -1, 1, 4.25, -4.25, -1, 1, 0},     {0, 0.5, 0.25, -2.5, -1.25, 2, 1, 0},
      {0, -0.5, 0.25, 2.5, -1.25, -2, 1, 0}, {0, 2, 4, -2.5, -5, 0.5, 1, 0},
      {0, -2, 4, 2.5, -5, -0.5, 1, 0},       {0, -1, 0, 5.25, 0, -5.25, 0, 1}};
};
template <>
struct InputMatrix<6> {
  static constexpr double AT[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0},
                                      {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0},
                                      {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
};

// G: the filter's polynomial at each point, over B' row's own value there; infinity takes the last.
template <int F, int R>
struct FilterMatrix {
  double at[F][R];
  constexpr FilterMatrix() : at() {
    for (int f = 0; f < F - 1; f++) {
      double scale = 0, power = 1;
      for (int k = 0; k < F; k++, power *= POINT[f]) scale += InputMatrix<F>::AT[f][k] * power;
      power = 1;
      for (int k = 0; k < R; k++, power *= POINT[f]) at[f][k] = power / scale;
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

// B' d.
ALWAYS_INLINE void transform_input(const Vec (&d)[8], Vec (&u)[8]) {
  u[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
  u[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
  Vec e = d[2] + d[6] - 4.25f * d[4], o = d[1] + d[5] - 4.25f * d[3];
  u[1] = e + o;
  u[2] = e - o;
  e = 0.25f * d[2] - 1.25f * d[4] + d[6];
  o = 0.5f * d[1] - 2.5f * d[3] + 2.0f * d[5];
  u[3] = e + o;
  u[4] = e - o;
  e = 4.0f * d[2] - 5.0f * d[4] + d[6];
  o = 2.0f * d[1] - 2.5f * d[3] + 0.5f * d[5];
  u[5] = e + o;
  u[6] = e - o;
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

// B u.
ALWAYS_INLINE void adjoint_input(const Vec (&u)[8], Vec (&d)[8]) {
  Vec s1 = u[1] + u[2], o1 = u[1] - u[2], s2 = u[3] + u[4], o2 = u[3] - u[4];
  Vec s3 = u[5] + u[6], o3 = u[5] - u[6];
  d[0] = u[0];
  d[1] = o1 - u[7] + 0.5f * o2 + 2.0f * o3;
  d[2] = s1 - 5.25f * u[0] + 0.25f * s2 + 4.0f * s3;
  d[3] = 5.25f * u[7] - 4.25f * o1 - 2.5f * (o2 + o3);
  d[4] = 5.25f * u[0] - 4.25f * s1 - 1.25f * s2 - 5.0f * s3;
  d[5] = o1 - 5.25f * u[7] + 2.0f * o2 + 0.5f * o3;
  d[6] = s1 - u[0] + s2 + s3;
  d[7] = u[7];
}

ALWAYS_INLINE void adjoint_input(const Vec (&u)[6], Vec (&d)[6]) {
  Vec s1 = u[1] + u[2], o1 = u[1] - u[2], s2 = u[3] + u[4], o2 = u[3] - u[4];
  d[0] = 4.0f * u[0];
  d[1] = 4.0f * (u[5] - o1) - 2.0f * o2;
  d[2] = -5.0f * u[0] - 4.0f * s1 - s2;
  d[3] = o1 + 2.0f * o2 - 5.0f * u[5];
  d[4] = u[0] + s1 + s2;
  d[5] = u[5];
}

// Powers of the points 2 and 1/2. Tables and not a function, which would be called at run time.
constexpr float POWER[8] = {1, 2, 4, 8, 16, 32, 64, 128};
constexpr float INVERSE[8] = {1, 1 / 2.f, 1 / 4.f, 1 / 8.f, 1 / 16.f, 1 / 32.f, 1 / 64.f, 1 / 128.f};

// A' m: output i is the sum of m_f POINT_f^i, and the last point joins the last.
template <int M, int F>
ALWAYS_INLINE void transform_output(const Vec (&m)[F], Vec (&y)[M]) {
  Vec s1 = m[1] + m[2], o1 = m[1] - m[2], s2 = m[3] + m[4], o2 = m[3] - m[4];
  if constexpr (F == 8) {
    Vec s3 = m[5] + m[6], o3 = m[5] - m[6];
    UNROLL for (int i = 0; i < M; i++)
      y[i] = i % 2 ? o1 + POWER[i] * o2 + INVERSE[i] * o3 : s1 + POWER[i] * s2 + INVERSE[i] * s3;
  } else {
    UNROLL for (int i = 0; i < M; i++) y[i] = i % 2 ? o1 + POWER[i] * o2 : s1 + POWER[i] * s2;
  }
  y[0] += m[0];
  y[M - 1] += m[F - 1];
}

// A y.
template <int M, int F>
ALWAYS_INLINE void adjoint_output(const Vec (&y)[M], Vec (&m)[F]) {
  static_assert(M > 1);
  constexpr bool HALVES = F == 8;
  m[0] = y[0];
  m[F - 1] = y[M - 1];
  Vec e1 = y[0], e2 = y[0], e3 = y[0];
  UNROLL for (int i = 2; i < M; i += 2) {
    e1 += y[i];
    e2 += POWER[i] * y[i];
    if constexpr (HALVES) e3 += INVERSE[i] * y[i];
  }
  Vec o1 = y[1], o2 = 2.0f * y[1], o3 = Vec{};
  if constexpr (HALVES) o3 = 0.5f * y[1];
  UNROLL for (int i = 3; i < M; i += 2) {
    o1 += y[i];
    o2 += POWER[i] * y[i];
    if constexpr (HALVES) o3 += INVERSE[i] * y[i];
  }
  m[1] = e1 + o1;
  m[2] = e1 - o1;
  m[3] = e2 + o2;
  m[4] = e2 - o2;
  if constexpr (HALVES) {
    m[5] = e3 + o3;
    m[6] = e3 - o3;
  }
}

}  // namespace winograd
