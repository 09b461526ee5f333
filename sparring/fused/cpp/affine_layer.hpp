// Each channel times a number and plus one: batch normalisation, in eval mode, where no layer before
// could take it in. ReLU as it leaves. Its numbers are not trained: in train mode it is another layer.
#pragma once

#include "lanes.hpp"
#include "shapes.hpp"

template <class S>
struct AffineLayer {
  struct Weights {
    const float *scale, *shift;
    void take(const float* weight, const float* bias) { scale = weight, shift = bias; }
  };
  using Gradient = Weightless::Gradient;

  template <bool TRAIN>
  class Layer {
    static constexpr int ROW = S::WI * S::C;

   public:
    struct Kept {
      Mask mask[S::RELU ? S::HI : 1][ROW];
    };
    void use(Kept& kept) { mask_ = kept.mask, in_ = row_; }

    Vec* slot(int) { return row_; }

    // The input row stands at `row`.
    static constexpr bool TAKES = !TRAIN;
    void take(int, const Vec* row) { in_ = row; }

    template <class Below>
    void forward(int y, const Weights& w, Below&& below) {
      Vec* out = below.slot(y);
      for (int x = 0; x < S::WI; x++)
        for (int c = 0; c < S::C; c++) {
          const int i = x * S::C + c;
          const Vec v = w.scale[c] * in_[i] + w.shift[c];
          if constexpr (S::RELU) {
            mask_[y][i] = positive(v);
            out[i] = keep(mask_[y][i], v);
          } else {
            out[i] = v;
          }
        }
      below.arrived(y);
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights& w, Gradient*, Above&& above) {
      if constexpr (!std::decay_t<Above>::WANTED) return;
      constexpr bool ADDS = std::decay_t<Above>::ADDS;
      Vec* out = row_;
      if constexpr (ADDS) out = above.sum(y);
      for (int x = 0; x < S::WI; x++)
        for (int c = 0; c < S::C; c++) {
          const int i = x * S::C + c;
          Vec v = w.scale[c] * up[i];
          if constexpr (S::RELU) v = keep(mask_[y][i], v);
          out[i] = ADDS ? out[i] + v : v;
        }
      if constexpr (!ADDS) above.arrived(y, row_);
    }

   private:
    Vec row_[ROW];
    const Vec* in_;
    Mask (*mask_)[ROW];
  };
};
