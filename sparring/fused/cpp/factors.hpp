// The gradient of a dense layer's weights as its factors: of every image its inputs and the gradient of
// its outputs, whose outer products add up to it.
//
// Of few images these are much less than the gradient itself. Ranks that update together write them
// where that would stand, in the layer's segment of the packed space, and each multiplies all images'
// for its own part of the weights: as many multiplications as before, and no gradient of the whole
// layer is written, read and added up (Xie and others, "Lighter-Communication Distributed Machine
// Learning via Sufficient Factor Broadcasting", UAI 2016).
#pragma once

#include <algorithm>
#include <vector>

#include "blocks.hpp"
#include "packed.hpp"
#include "tile_lanes.hpp"

// Of an image: its inputs in the order of the packed rows, then its outputs' gradient, zero beyond J.
template <class S>
struct Factors {
  using Rows = DenseRows<S>;
  static constexpr int OUT = Rows::MAIN + Rows::TAIL;
  static constexpr size_t INPUTS = whole_lines(S::INPUTS), SIZE = INPUTS + whole_lines(OUT);
  static constexpr size_t ROOM = Rows::SIZE / SIZE;  // images whose factors fit in the segment
};

// What a dense layer's gradient is written to while an update is computed.
struct FactorPlace {
  float* factors = nullptr;  // of the first image of the block; null: the gradient itself is wanted
  int images = 0;            // of the block
};

// sums[row][output] of whole rows of a panel: its WIDTH outputs from `first`, of all images.
template <class S, int WIDTH>
class OuterProducts {
 public:
  // `inputs`: each image's; `gradients`: [image][OUT], whole lines.
  OuterProducts(const std::vector<const float*>& inputs, const float* gradients, int first)
      : inputs_(inputs), gradients_(gradients + first), real_(std::min(WIDTH, S::J - first)) {}

  // Numbers from..to of the panel, [row][WIDTH], to to[0..].
  void write(size_t from, size_t to, float* out) const {
    while (from < to) {
      const size_t row = from / WIDTH, left = to - from;
      if (from % WIDTH || left < WIDTH) {  // a part of a row
        float whole[WIDTH];
        rows(row, 1, whole);
        const size_t count = std::min(left, WIDTH - from % WIDTH);
        std::memcpy(out, whole + from % WIDTH, count * sizeof(float));
        from += count, out += count;
      } else {
        const size_t count = left / WIDTH;
        rows(row, count, out);
        from += count * WIDTH, out += count * WIDTH;
      }
    }
  }

 private:
  static constexpr int N = WIDTH % LANES ? 1 : WIDTH / LANES;  // vectors of a row
  static constexpr Blocking B = best_blocking(64, N);
  static constexpr size_t STEP = whole_lines(Factors<S>::OUT);

  NEVER_INLINE void rows(size_t first, size_t count, float* out) const {
    if constexpr (WIDTH % LANES == 0) {
      size_t r = 0;
      for (; r + B.tiles <= count; r += B.tiles) block<B.tiles>(first + r, out + r * WIDTH);
      for (; r < count; r++) block<1>(first + r, out + r * WIDTH);
    } else {
      for (size_t r = 0; r < count; r += LANES)
        tail(first + r, std::min<size_t>(LANES, count - r), out + r * WIDTH);
    }
    // A padding output's gradient is 0 also where an input is no number.
    for (size_t r = 0; real_ < WIDTH && r < count; r++)
      for (int j = real_; j < WIDTH; j++) out[r * WIDTH + j] = 0.0f;
  }

  template <int ROWS>
  ALWAYS_INLINE void block(size_t row, float* out) const {
    over_blocks<N, B.channels>([&](int v, auto count_) {
      constexpr int COUNT = decltype(count_)::value;
      Vec sums[ROWS][COUNT];
      UNROLL for (int a = 0; a < ROWS; a++) UNROLL for (int b = 0; b < COUNT; b++) sums[a][b] = Vec{};
      const float* g = gradients_ + v * LANES;
      for (const float* image : inputs_) {
        Vec d[COUNT];
        UNROLL for (int b = 0; b < COUNT; b++) d[b] = load_vec(g + b * LANES);
        UNROLL for (int a = 0; a < ROWS; a++)
          UNROLL for (int b = 0; b < COUNT; b++) sums[a][b] += image[row + a] * d[b];
        g += STEP;
      }
      UNROLL for (int a = 0; a < ROWS; a++)
        UNROLL for (int b = 0; b < COUNT; b++) store_vec(out + a * WIDTH + (v + b) * LANES, sums[a][b]);
    });
  }

  // Of the few outputs of a tail, with rows in the lanes. What is read beyond the inputs is not used.
  ALWAYS_INLINE void tail(size_t row, size_t count, float* out) const {
    Vec sums[WIDTH];
    UNROLL for (int j = 0; j < WIDTH; j++) sums[j] = Vec{};
    const float* g = gradients_;
    for (const float* image : inputs_) {
      const Vec in = load_vec(image + row);
      UNROLL for (int j = 0; j < WIDTH; j++) sums[j] += g[j] * in;
      g += STEP;
    }
    for (size_t r = 0; r < count; r++)
      UNROLL for (int j = 0; j < WIDTH; j++) out[r * WIDTH + j] = sums[j][r];
  }

  const std::vector<const float*>& inputs_;
  const float* gradients_;
  const int real_;
};

// out[from..to) of a dense layer's segment from images' factors, which begin at `images`.
template <class S>
void multiply_factors(const std::vector<const float*>& images, size_t from, size_t to, float* out) {
  using Rows = DenseRows<S>;
  constexpr size_t STEP = whole_lines(Factors<S>::OUT);
  std::vector<float> gradients(images.size() * STEP);  // side by side, where a cache holds them
  for (size_t i = 0; i < images.size(); i++)
    std::memcpy(gradients.data() + i * STEP, images[i] + Factors<S>::INPUTS, STEP * sizeof(float));
  auto panel = [&](size_t begin, int first, auto width_) {
    constexpr int WIDTH = decltype(width_)::value;
    const size_t end = begin + (size_t)S::INPUTS * WIDTH;
    const size_t a = std::max(from, begin), b = std::min(to, end);
    if (a < b)
      OuterProducts<S, WIDTH>(images, gradients.data(), first).write(a - begin, b - begin, out + a);
  };
  constexpr int LAST = Rows::PANELS - 1;
  for (int p = 0; p < LAST; p++)
    panel(Rows::panel(p), p * Rows::WIDTH, std::integral_constant<int, Rows::WIDTH>{});
  panel(Rows::panel(LAST), LAST * Rows::WIDTH, std::integral_constant<int, Rows::width(LAST)>{});
  if constexpr (Rows::TAIL > 0)
    panel(Rows::TAILS, Rows::MAIN, std::integral_constant<int, Rows::TAIL>{});
  // Between the rows and the next segment there are zeros.
  if (to > Rows::SIZE)
    std::memset(out + std::max(from, Rows::SIZE), 0, (to - std::max(from, Rows::SIZE)) * sizeof(float));
}
