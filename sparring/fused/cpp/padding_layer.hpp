// Zeros around an image, row by row.
#pragma once

#include "lanes.hpp"
#include "shapes.hpp"

template <class S>
struct PaddingLayer : Weightless {
  template <bool TRAIN>
  class Layer {
   public:
    struct Kept {};
    void use(Kept&) {}

    Vec* slot(int) { return row_; }

    template <class Below>
    void forward(int y, const Weights&, Below&& below) {
      if (y == 0)
        for (int r = 0; r < S::TOP; r++) zeros(r, below);
      Vec* out = below.slot(S::TOP + y);
      std::memset((void*)out, 0, sizeof(Vec) * S::WO * S::CO);
      for (int x = 0; x < S::WI; x++)
        for (int c = 0; c < S::C; c++)
          out[(S::LEFT + x) * S::CO + S::BEFORE + c] = row_[x * S::C + c];
      below.arrived(S::TOP + y);
      if (y == S::HI - 1)
        for (int r = 0; r < S::BOTTOM; r++) zeros(S::TOP + S::HI + r, below);
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights&, Gradient*, Above&& above) {
      if constexpr (!std::decay_t<Above>::WANTED) return;
      if (y < S::TOP || y >= S::TOP + S::HI) return;
      for (int x = 0; x < S::WI; x++)
        for (int c = 0; c < S::C; c++)
          row_[x * S::C + c] = up[(S::LEFT + x) * S::CO + S::BEFORE + c];
      above.arrived(y - S::TOP, row_);
    }

   private:
    template <class Below>
    static void zeros(int y, Below&& below) {
      std::memset((void*)below.slot(y), 0, sizeof(Vec) * S::WO * S::CO);
      below.arrived(y);
    }

    Vec row_[S::WI * S::C];
  };
};
