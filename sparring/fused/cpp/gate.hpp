// What follows a convolution, row by row: ReLU and 2x2 max-pooling, and their way back.
//
// Forward it receives the convolution's output rows and stores one bit an element: does the
// gradient pass here? Backward it lets through what may pass. With pooling the bit says "this pixel
// won, and was positive"; of equal pixels the first in reading order wins, as in PyTorch.
#pragma once

#include "lanes.hpp"
#include "shapes.hpp"
#include "ties.hpp"

// Number i of a row that is somewhere in memory. A row may be something else (`addition_layer.hpp`).
ALWAYS_INLINE void put(Vec* row, int i, Vec v) { row[i] = v; }

template <class S>
class Gate {
  static constexpr int ROW = S::WC * S::CO;

 public:
  // What a block of images leaves for its way back.
  struct Kept {
    Mask mask[S::POOL ? (size_t)S::HO * S::WO * S::CO * 4 : (S::RELU ? (size_t)S::HC * ROW : 1)];
  };
  void use(Kept& kept) { mask_ = kept.mask; }

  // A row of the convolution's output, before ReLU and pooling, to be filled by the caller:
  // [x][channel]. Below is the next layer: slot(y) is where its input row y goes, row(y) what takes its
  // numbers by `put`, and arrived(y) tells that it is there.
  template <class Below>
  auto row(int y, Below&& below) {
    if constexpr (S::POOL) return pair_[y % 2];
    else return below.row(y);
  }

  // What to store for element i of row y, of value v.
  ALWAYS_INLINE Vec put(int y, int i, Vec v) {
    if constexpr (S::POOL || !S::RELU) return v;
    Mask m = positive(v);
    mask_[(size_t)y * ROW + i] = m;
    return keep(m, v);
  }

  // The row that `row` gave out is filled, every element through `put`. ties(x, windows) finds the
  // equal pixels under pooling window x of this row and the one above it.
  template <class Below, class FindTies>
  void filled(int y, Below&& below, FindTies&& ties) {
    if constexpr (S::POOL) {
      if (y % 2 == 0 || y / 2 >= S::HO) return;
      pool(y / 2, below.slot(y / 2), ties);
      below.arrived(y / 2);
    } else {
      below.arrived(y);
    }
  }

  // Element i of row y of the convolution's gradient, where nothing was pooled.
  ALWAYS_INLINE Vec pull(int y, int i, const Vec* up) const {
    static_assert(!S::POOL, "pooled rows come from `back`");
    if constexpr (S::RELU) return keep(mask_[(size_t)y * ROW + i], up[i]);
    return up[i];
  }

  // Channel c of pixel (y, x) of the convolution's gradient, from the row of the layer's that has it.
  ALWAYS_INLINE Vec pull(int y, int x, int c, const Vec* up) const {
    if constexpr (S::POOL) {
      const size_t window = ((size_t)(y / 2) * S::WO + x / 2) * S::CO + c;
      return keep(mask_[4 * window + y % 2 * 2 + x % 2], up[x / 2 * S::CO + c]);
    } else {
      return pull(y, x * S::CO + c, up);
    }
  }

  // How many rows of the convolution's own gradient follow from row y of the layer's output: a
  // pooled row gives two, and the last one also the odd row that pooling left out.
  static constexpr int rows_from(int y) {
    if (!S::POOL) return 1;
    return y == S::HO - 1 ? S::HC - 2 * y : 2;
  }

  // Writes row (first conv row of y) + dy of the convolution's gradient, from row y of the layer's.
  void back(int y, int dy, const Vec* up, Vec* out) const {
    if constexpr (S::POOL) {
      if (dy == 2) {
        std::memset((void*)out, 0, sizeof(Vec) * ROW);
        return;
      }
      for (int x = 0; x < S::WO; x++)
        for (int c = 0; c < S::CO; c++) {
          const Mask* m = mask_ + ((size_t)(y * S::WO + x) * S::CO + c) * 4 + 2 * dy;
          Vec g = up[x * S::CO + c];
          out[2 * x * S::CO + c] = keep(m[0], g);
          out[(2 * x + 1) * S::CO + c] = keep(m[1], g);
        }
      if (S::WC % 2) std::memset((void*)(out + (S::WC - 1) * S::CO), 0, sizeof(Vec) * S::CO);
    } else {
      for (int i = 0; i < ROW; i++) out[i] = pull(y, i, up);
    }
  }

 private:
  template <class FindTies>
  void pool(int y, Vec* out, FindTies&& ties) {
    for (int x = 0; x < S::WO; x++) {
      const Vec *top = pair_[0] + 2 * x * S::CO, *bottom = pair_[1] + 2 * x * S::CO;
      auto window = [=](int c) {
        return Window{top[c], top[S::CO + c], bottom[c], bottom[S::CO + c]};
      };
      Mask* masks = mask_ + (size_t)(y * S::WO + x) * S::CO * 4;
      const Ties equal = ties(x, window);
      if (equal.any()) pool_window(window, equal, masks, out + x * S::CO);
      else pool_window(window, Ties::none(), masks, out + x * S::CO);
    }
  }

  template <class Channels>
  static ALWAYS_INLINE void pool_window(Channels&& window, const Ties& equal, Mask* m, Vec* out) {
    for (int c = 0; c < S::CO; c++, m += 4) {
      Largest best = largest(window(c), equal);
      Mask pass = Ties::ALL;
      if constexpr (S::RELU) {
        pass = positive(best.value);
        best.value = keep(pass, best.value);
      }
      m[0] = best.a & pass;
      m[1] = best.b & pass;
      m[2] = best.c & pass;
      m[3] = best.d & pass;
      out[c] = best.value;
    }
  }

  Vec pair_[S::POOL ? 2 : 1][S::POOL ? ROW : 1];
  Mask* mask_;
};
