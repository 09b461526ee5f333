// An activation as a layer of its own, row by row; it keeps each number's slope for the way back.
#pragma once

#include "lanes.hpp"
#include "shapes.hpp"

template <class S>
struct CurveLayer : Weightless {
  template <bool TRAIN>
  class Layer {
    static constexpr int ROW = S::WI * S::C;

   public:
    struct Kept {
      Vec slope[S::HI][ROW];
    };
    void use(Kept& kept) { slope_ = kept.slope; }

    Vec* slot(int) { return row_; }

    template <class Below>
    void forward(int y, const Weights&, Below&& below) {
      Vec *out = below.slot(y), *slope = slope_[y];
      for (int i = 0; i < ROW; i++) {
        const auto point = S::CURVE::at(row_[i]);
        out[i] = point.value;
        slope[i] = point.slope;
      }
      below.arrived(y);
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights&, Gradient*, Above&& above) {
      if constexpr (!std::decay_t<Above>::WANTED) return;
      for (int i = 0; i < ROW; i++) row_[i] = up[i] * slope_[y][i];
      above.arrived(y, row_);
    }

   private:
    Vec row_[ROW], (*slope_)[ROW];
  };
};
