// The sum of two values, row by row, as soon as a row of both is there; ReLU as it leaves.
#pragma once

#include "graph.hpp"
#include "shapes.hpp"

template <class S>
struct AdditionLayer : Weightless {
  template <bool TRAIN>
  class Layer {
    static constexpr int ROW = S::WI * S::C;

   public:
    struct Kept {
      Mask mask[S::RELU ? S::HI : 1][ROW];
    };
    void use(Kept& kept) { mask_ = kept.mask; }

    Vec* slot(int port, int y) { return join_.slot(port, y); }

    template <class Below>
    void forward(int port, int y, Below&& below) {
      const bool both = join_.waited_for(port, y);
      join_.arrived(port, y);
      if (!both) return;
      const Vec *one = join_.waiting(y), *other = join_.last();
      Vec* out = below.slot(y);
      for (int i = 0; i < ROW; i++) {
        const Vec sum = one[i] + other[i];
        if constexpr (S::RELU) {
          mask_[y][i] = positive(sum);
          out[i] = keep(mask_[y][i], sum);
        } else {
          out[i] = sum;
        }
      }
      join_.give_back(y);
      below.arrived(y);
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights&, Gradient*, Above&& above) {
      if constexpr (!std::decay_t<Above>::WANTED) return;
      if constexpr (S::RELU) {
        for (int i = 0; i < ROW; i++) gradient_[i] = keep(mask_[y][i], up[i]);
        above.arrived(y, gradient_);
      } else {
        above.arrived(y, up);
      }
    }

   private:
    Join<S::HI, ROW> join_;
    Mask (*mask_)[ROW];
    Vec gradient_[S::RELU ? ROW : 1];
  };
};
