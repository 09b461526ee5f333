// One step of an attack on a block of images, and back into what the attack allows.
#pragma once

#include "lanes.hpp"

enum Rule {
  SIGN = 0,  // x + step * sign(g), within epsilon of the centre in every pixel
  L2 = 1,    // x + step * g / |g|, within epsilon of the centre in Euclidean length
  RAW = 2,   // x + step * g, no ball
};

struct Settings {
  int32_t rule, objective;
  float step, epsilon, low, high;
};

ALWAYS_INLINE Vec square_root(Vec v) {
  Vec r;
  for (int i = 0; i < LANES; i++) r[i] = std::sqrt(v[i]);
  return r;
}

// 0 where g is finite, else NaN.
ALWAYS_INLINE Vec mark(Vec g) { return g - g; }

// g, x and centre: N vectors of pixels. g may be overwritten. An image whose gradient is not finite
// somewhere gets pixels that are no numbers, and whoever called takes its steps with more care.
template <int N, class Across>
NEVER_INLINE void step(const Settings& s, Vec* g, const Vec* centre, Vec* x) {
  const Vec low = broadcast(s.low), high = broadcast(s.high), zero{};
  // Of two operands the second survives where either is NaN: a pixel that is none stays none.
  auto clamped = [&](Vec v) { return least(high, most(low, v)); };
  if (s.rule == RAW) {
    for (int i = 0; i < N; i++) x[i] = clamped(x[i] + s.step * g[i] + mark(g[i]));
    return;
  }
  const Vec epsilon = broadcast(s.epsilon), one = broadcast(1.0f);
  if (s.rule == SIGN) {
    for (int i = 0; i < N; i++) {
      Vec up = keep(above(g[i], zero), broadcast(s.step));
      Vec down = keep(above(zero, g[i]), broadcast(s.step));
      Vec v = x[i] + (up - down) + mark(g[i]);
      x[i] = clamped(least(centre[i] + epsilon, most(centre[i] - epsilon, v)));
    }
    return;
  }
  // The largest entry is divided out first: squares of a confident network's gradient, 1e-25 say,
  // would all be zero.
  Vec largest{}, marks{};
  for (int i = 0; i < N; i++) {
    largest = most(largest, magnitude(g[i]));
    marks += mark(g[i]);
  }
  marks = Across::sum(marks);
  largest = Across::largest(largest);
  Mask moves = above(largest, zero);
  const Vec divisor = largest + keep((Mask)~moves, one);
  Vec squares{};
  for (int i = 0; i < N; i++) {
    g[i] = g[i] / divisor;
    squares += g[i] * g[i];
  }
  Vec length = square_root(Across::sum(squares));
  Vec stride = keep(moves, s.step / (length + keep((Mask)~moves, one)));
  Vec distance{};
  for (int i = 0; i < N; i++) {
    x[i] += stride * g[i] + marks;
    Vec d = x[i] - centre[i];
    distance += d * d;
  }
  distance = square_root(Across::sum(distance));
  Mask outside = above(distance, epsilon);
  Vec shrink = keep(outside, epsilon / (distance + keep((Mask)~outside, one))) +
               keep((Mask)~outside, one);
  for (int i = 0; i < N; i++) x[i] = clamped(centre[i] + shrink * (x[i] - centre[i]));
}
