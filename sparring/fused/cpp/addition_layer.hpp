// The sum of two values, row by row, as soon as a row of both is there; ReLU as it leaves.
#pragma once

#include "graph.hpp"
#include "shapes.hpp"

template <class S>
struct AdditionLayer : Weightless {
  static constexpr int ROW = S::WI * S::C;

  // The sum, and the ReLU's bits.
  class Sum {
   public:
    struct Kept {
      Mask mask[S::RELU ? S::HI : 1][ROW];
    };
    void use(Kept& kept) { mask_ = kept.mask; }

   protected:
    void add(int y, const Vec* one, const Vec* other, Vec* out) {
      for (int i = 0; i < ROW; i++) put(Row{other, mask_[S::RELU ? y : 0], out}, i, one[i]);
    }

    // From the gradient of row y of the sum to that of what was added up.
    void let_through(int y, const Vec* up, Vec* gradient) const {
      for (int i = 0; i < ROW; i++) gradient[i] = S::RELU ? keep(mask_[y][i], up[i]) : up[i];
    }

    Mask (*mask_)[ROW];
  };

  // A row of the sum, to be made number by number of a row that is there and the one that `put` brings.
  struct Row {
    const Vec* other;
    Mask* mask;
    Vec* out;

    friend ALWAYS_INLINE void put(const Row& row, int i, Vec v) {
      const Vec sum = v + row.other[i];
      if constexpr (S::RELU) {
        row.mask[i] = positive(sum);
        row.out[i] = keep(row.mask[i], sum);
      } else {
        row.out[i] = sum;
      }
    }
  };

  template <bool TRAIN>
  class Layer : public Sum {
   public:
    Vec* slot(int port, int y) { return join_.slot(port, y); }

    template <class Below>
    void forward(int port, int y, Below&& below) {
      const bool both = join_.waited_for(port, y);
      join_.arrived(port, y);
      if (!both) return;
      this->add(y, join_.waiting(y), join_.last(), below.slot(y));
      join_.give_back(y);
      below.arrived(y);
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights&, Gradient*, Above&& above) {
      if constexpr (!std::decay_t<Above>::WANTED) return;
      if constexpr (S::RELU) {
        this->let_through(y, up, gradient_);
        above.arrived(y, gradient_);
      } else {
        above.arrived(y, up);
      }
    }

   private:
    Join<S::HI, ROW> join_;
    Vec gradient_[S::RELU ? ROW : 1];
  };

  // Where one of the two is whole (`sections.hpp`), and stands there row by row: neither waits.
  class Beside : public Sum {
   public:
    Vec* slot() { return row_; }

    // Row y of the sum, for a layer that can `put` its rows into it.
    Row row(int y, const Vec* standing, Vec* out) { return {standing, this->mask_[S::RELU ? y : 0], out}; }

    // Row y of the other one is in the slot. The sum may take the place of `standing`, the whole one's.
    template <class Below>
    void forward(int y, const Vec* standing, Below&& below) {
      this->add(y, row_, standing, below.slot(y));
      below.arrived(y);
    }

    // To where the whole one's gradient is summed up, which may be where `up` is.
    void backward(int y, const Vec* up, Vec* gradient) const {
      if (S::RELU || gradient != up) this->let_through(y, up, gradient);
    }

   private:
    Vec row_[ROW];
  };
};
