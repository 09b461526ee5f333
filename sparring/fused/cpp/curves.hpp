// Activations other than ReLU: a number's value and its slope there.
//
// Exponentials are of numbers below 0, which cannot overflow. What is no number stays none.
#pragma once

#include "lanes.hpp"

struct Point {
  Vec value, slope;
};

// Cephes' polynomial near 0, where the other form would cancel.
ALWAYS_INLINE Vec hyperbolic_tangent(Vec x) {
  const Vec size = magnitude(x), e = exponential(-2.0f * size), z = x * x;
  const Vec far = (1.0f - e) / (1.0f + e);
  Vec p = broadcast(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const Vec near = x + x * z * p, zero{};
  return choose(above(size, broadcast(0.625f)), choose(above(zero, x), -far, far), near);
}

ALWAYS_INLINE Vec logistic(Vec x) {
  const Vec e = exponential(-magnitude(x)), part = 1.0f / (1.0f + e);
  return choose(above(Vec{}, x), e * part, part);
}

// log(1 + a) for a from 0 to 1, as 2 artanh(a / (2 + a)).
ALWAYS_INLINE Vec log_of_one_and(Vec a) {
  const Vec s = a / (2.0f + a), z = s * s;
  Vec p = broadcast(1.0f / 15);
  p = p * z + 1.0f / 13;
  p = p * z + 1.0f / 11;
  p = p * z + 1.0f / 9;
  p = p * z + 1.0f / 7;
  p = p * z + 1.0f / 5;
  p = p * z + 1.0f / 3;
  return 2.0f * (s + s * z * p);
}

struct Relu {
  static ALWAYS_INLINE Point at(Vec x) {
    const Mask open = positive(x);
    return {keep(open, x), keep(open, broadcast(1.0f))};
  }
};

template <class A>
struct LeakyRelu {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec slope = choose(positive(x), broadcast(1.0f), broadcast(A::VALUE));
    return {slope * x, slope};
  }
};

struct Tanh {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec e = exponential(-2.0f * magnitude(x)), sum = 1.0f + e;
    return {hyperbolic_tangent(x), 4.0f * e / (sum * sum)};
  }
};

struct Sigmoid {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec e = exponential(-magnitude(x)), sum = 1.0f + e;
    return {logistic(x), e / (sum * sum)};
  }
};

template <class A>
struct Elu {
  static ALWAYS_INLINE Point at(Vec x) {
    const Mask open = positive(x);
    // exp(x) - 1 by way of the tangent, which does not cancel near 0.
    const Vec low = least(Vec{}, x), t = hyperbolic_tangent(0.5f * low);
    return {choose(open, x, A::VALUE * (2.0f * t / (1.0f - t))),
            choose(open, broadcast(1.0f), A::VALUE * exponential(low))};
  }
};

struct Silu {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec s = logistic(x);
    return {x * s, s * (1.0f + x * (1.0f - s))};
  }
};

template <class BETA>
struct Softplus {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec z = BETA::VALUE * x;
    const Vec value = most(Vec{}, z) + log_of_one_and(exponential(-magnitude(z)));
    return {value / BETA::VALUE, logistic(z)};
  }
};

// By Abramowitz and Stegun's 7.1.26, which is off by 1.5e-7 at most.
struct Gelu {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec z = magnitude(x) * 0.707106781f, t = 1.0f / (1.0f + 0.3275911f * z);
    const Vec e = exponential(-z * z);
    Vec p = broadcast(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Vec tail = 0.5f * p * t * e;  // of the normal distribution, beyond |x|
    const Vec below = choose(above(Vec{}, x), tail, 1.0f - tail);
    return {x * below, below + x * (0.398942280f * e)};
  }
};

struct TanhGelu {
  static ALWAYS_INLINE Point at(Vec x) {
    const Vec square = x * x;
    const Vec t = hyperbolic_tangent(x * (0.797884561f + 0.0356774081f * square));
    const Vec slope = 0.797884561f + 0.107032224f * square;
    return {0.5f * x * (1.0f + t), 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope};
  }
};
