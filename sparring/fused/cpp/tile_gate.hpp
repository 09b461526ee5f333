// What follows a convolution whose rows have their pixels in the lanes: ReLU and 2x2 max-pooling.
//
// Forward it takes the convolution's rows and stores one bit a pixel: does the gradient pass here?
// Backward it spreads the gradient over the pixels that it passes. Of equal pixels under a pooling
// window the first in reading order wins, as in PyTorch.
#pragma once

#include "shapes.hpp"
#include "tile_planes.hpp"

template <class S>
class TileGate {
 public:
  // Channel c of the convolution: row(y) is its row y. out(y) is where the layer's own row y goes:
  // WO numbers, but whole vectors are written, in order of y.
  template <class Row, class Out>
  ALWAYS_INLINE void forward(int c, Row&& row, Out&& out) {
    for (int y = 0; y < S::HO; y++) {
      float* to = out(y);
      for (int v = 0; v < V; v++) {
        Mask* m = mask_ + (((size_t)c * S::HO + y) * V + v) * WINDOW;
        Vec x;
        if constexpr (S::POOL) {
          x = pool(row(2 * y) + 2 * v * LANES, row(2 * y + 1) + 2 * v * LANES, m, inside(v));
        } else {
          x = load_vec(row(y) + v * LANES);
          // Zero behind the row: padding may stand there.
          Mask here = inside(v);
          if constexpr (S::RELU) m[0] = here = (Mask)(positive(x) & here);
          x = keep(here, x);
        }
        store_vec(to + v * LANES, x);
      }
    }
  }

  // Channel c of the convolution's gradient, from planes of the layer's own. row(y) is where row y
  // goes: WC numbers, and zeros up to whole vectors, in order of y. What pooling left out, an odd
  // last row or column, is not written.
  template <class Up, class Row>
  ALWAYS_INLINE void backward(int c, Up up, Row&& row) const {
    for (int y = 0; y < S::HO; y++)
      for (int dy = 0; dy < (S::POOL ? 2 : 1); dy++) {
        float* to = row(S::POOL ? 2 * y + dy : y);
        for (int v = 0; v < V; v++) {
          const Mask* m = mask_ + (((size_t)c * S::HO + y) * V + v) * WINDOW;
          Vec g = load_vec(up.row(c, y) + v * LANES);
          if constexpr (S::POOL) {
            Vec pair[2] = {keep(m[2 * dy], g), keep(m[2 * dy + 1], g)};
            weave<2>(pair, to + 2 * v * LANES);
          } else {
            store_vec(to + v * LANES, keep(S::RELU ? m[0] : inside(v), g));
          }
        }
      }
  }

 private:
  static constexpr int V = vectors(S::WO), WINDOW = S::POOL ? 4 : 1;

  // The lanes of vector v that are pixels.
  static Mask inside(int v) {
    int rest = S::WO - v * LANES;
    return rest >= LANES ? (Mask)~(Mask)0 : (Mask)((1u << rest) - 1);
  }

  static ALWAYS_INLINE Vec pool(const float* upper, const float* lower, Mask* m, Mask inside) {
    Vec s[2] = {load_vec(upper), load_vec(upper + LANES)};
    Vec t[2] = {load_vec(lower), load_vec(lower + LANES)};
    Vec a = shuffled<FromTwo<2, 0>>(s[0], s[1]), b = shuffled<FromTwo<2, 1>>(s[0], s[1]);
    Vec p = shuffled<FromTwo<2, 0>>(t[0], t[1]), q = shuffled<FromTwo<2, 1>>(t[0], t[1]);
    Mask right = beats(b, a), low_right = beats(q, p);
    Vec top = choose(right, b, a), bottom = choose(low_right, q, p);
    Mask low = beats(bottom, top), pass = inside;
    Vec best = choose(low, bottom, top);
    if constexpr (S::RELU) {
      pass = (Mask)(pass & positive(best));
      best = keep(pass, best);
    }
    m[0] = (Mask)(~low & ~right & pass);
    m[1] = (Mask)(~low & right & pass);
    m[2] = (Mask)(low & ~low_right & pass);
    m[3] = (Mask)(low & low_right & pass);
    return best;
  }

  Mask mask_[(size_t)S::CO * S::HO * V * WINDOW];
};
