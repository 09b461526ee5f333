// Pooling as a layer of its own, row by row: the maximum or the mean of any window.
//
// What a maximum keeps for the way back is one bit for each pixel of each window: did it take the
// lead? The last one to do so has won. Of equal pixels the first wins, as in PyTorch.
#pragma once

#include <algorithm>

#include "lanes.hpp"
#include "shapes.hpp"

template <class S>
struct PoolingLayer : Weightless {
  template <bool TRAIN>
  class Layer {
    static constexpr int WINDOW = S::KH * S::KW;

   public:
    struct Kept {
      Mask led[S::MEAN ? 1 : S::HO * S::WO * S::C][S::MEAN ? 1 : WINDOW];
    };
    void use(Kept& kept) {
      led_ = kept.led;
      for (int r = 0; r < S::KH; r++) rows_[r] = input_[r];
    }

    Vec* slot(int y) { return input_[y % S::KH]; }

    // Input row y stands at `row`.
    static constexpr bool TAKES = !TRAIN;
    void take(int y, const Vec* row) { rows_[y % S::KH] = row; }

    template <class Below>
    void forward(int y, const Weights&, Below&& below) {
      const int last = S::last_row(y);
      for (; next_row_ <= last; next_row_++) {
        Vec* out = below.slot(next_row_);
        for (int x = 0; x < S::WO; x++)
          if constexpr (S::MEAN) mean(next_row_, x, out + x * S::C);
          else most(next_row_, x, out + x * S::C);
        below.arrived(next_row_);
      }
      if (y == S::HI - 1) next_row_ = 0;
    }

    template <class Above>
    void backward(int y, const Vec* up, const Weights&, Gradient*, Above&& above) {
      if constexpr (!std::decay_t<Above>::WANTED) return;
      for (int x = 0; x < S::WO; x++)
        if constexpr (S::MEAN) mean_back(y, x, up + x * S::C);
        else most_back(y, x, up + x * S::C);
      // Rows that no later window covers.
      const int last = y == S::HO - 1 ? S::HI - 1 : S::SH * (y + 1) - S::PH - 1;
      for (; next_gradient_ <= last; next_gradient_++) {
        Vec* row = gradient_[next_gradient_ % S::KH];
        above.arrived(next_gradient_, row);
        std::memset((void*)row, 0, sizeof gradient_[0]);
      }
      if (y == S::HO - 1) next_gradient_ = 0;
    }

   private:
    // The part of window (y, x) that lies in the image.
    struct Span {
      int top, bottom, left, right, whole;  // `whole` counts what lies in the padding, too
      Span(int y, int x)
          : top(S::SH * y - S::PH), bottom(top + S::KH), left(S::SW * x - S::PW), right(left + S::KW) {
        whole = (std::min(bottom, S::HI + S::PH) - top) * (std::min(right, S::WI + S::PW) - left);
        if (top < 0) top = 0;
        if (left < 0) left = 0;
        if (bottom > S::HI) bottom = S::HI;
        if (right > S::WI) right = S::WI;
      }
      float share() const {
        return 1.0f / (S::PADDING_COUNTS ? whole : (bottom - top) * (right - left));
      }
    };

    void mean(int y, int x, Vec* out) const {
      const Span s(y, x);
      for (int c = 0; c < S::C; c++) out[c] = Vec{};
      for (int r = s.top; r < s.bottom; r++)
        for (int i = s.left; i < s.right; i++)
          for (int c = 0; c < S::C; c++) out[c] += rows_[r % S::KH][i * S::C + c];
      for (int c = 0; c < S::C; c++) out[c] *= s.share();
    }

    void mean_back(int y, int x, const Vec* up) {
      const Span s(y, x);
      for (int r = s.top; r < s.bottom; r++)
        for (int i = s.left; i < s.right; i++)
          for (int c = 0; c < S::C; c++) gradient_[r % S::KH][i * S::C + c] += s.share() * up[c];
    }

    void most(int y, int x, Vec* out) {
      const Span s(y, x);
      for (int c = 0; c < S::C; c++) {
        Mask* led = led_[(y * S::WO + x) * S::C + c];
        Vec best = rows_[s.top % S::KH][s.left * S::C + c];
        for (int r = s.top; r < s.bottom; r++)
          for (int i = s.left; i < s.right; i++) {
            Vec v = rows_[r % S::KH][i * S::C + c];
            Mask leads = beats(v, best);
            *led++ = leads;
            best = choose(leads, v, best);
          }
        out[c] = best;
      }
    }

    void most_back(int y, int x, const Vec* up) {
      const Span s(y, x);
      for (int c = 0; c < S::C; c++) {
        const Mask* led = led_[(y * S::WO + x) * S::C + c] + (s.bottom - s.top) * (s.right - s.left);
        Mask open = (Mask) ~(Mask)0;
        for (int r = s.bottom - 1; r >= s.top; r--)
          for (int i = s.right - 1; i >= s.left; i--) {
            // The first pixel has won where no other ever led.
            Mask won = r == s.top && i == s.left ? open : (Mask)(*--led & open);
            open &= (Mask)~won;
            gradient_[r % S::KH][i * S::C + c] += keep(won, up[c]);
          }
      }
    }

    int next_row_ = 0, next_gradient_ = 0;
    const Vec* rows_[S::KH];
    Vec input_[S::KH][S::WI * S::C];
    Vec gradient_[S::KH][S::WI * S::C];
    Mask (*led_)[S::MEAN ? 1 : WINDOW];
  };
};
