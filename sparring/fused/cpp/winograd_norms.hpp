// The Euclidean norms of a row of Winograd tiles' inputs: what bounds their rounding.
//
// TILES tiles of F x F pixels of CHANNELS channels, M pixels from one to the next.
#pragma once

#include "lanes.hpp"

template <int TILES, int M, int F, int CHANNELS>
class TileNorms {
 public:
  // Padded input row y has come, [x][channel], after those above it.
  void row_arrived(const Vec* row, int y) {
    Vec pixels[PIXELS];
    for (int x = 0; x < PIXELS; x++) {
      pixels[x] = Vec{};
      for (int c = 0; c < CHANNELS; c++) {
        Vec v = row[x * CHANNELS + c];
        pixels[x] += v * v;
      }
    }
    for (int t = 0; t < TILES; t++) {
      Vec sum = pixels[t * M];
      for (int j = 1; j < F; j++) sum += pixels[t * M + j];
      squares_[y % F][t] = sum;
    }
  }

  // The tiles' first padded row; the rows first..last are all that the image has.
  void of_tiles(int top, int first, int last) {
    for (int t = 0; t < TILES; t++) {
      Vec sum = Vec{};
      for (int y = top > first ? top : first; y < top + F && y <= last; y++)
        sum += squares_[y % F][t];
      for (int lane = 0; lane < LANES; lane++) norm_[t][lane] = std::sqrt(sum[lane]);
    }
  }

  Vec operator[](int tile) const { return norm_[tile]; }

 private:
  static constexpr int PIXELS = (TILES - 1) * M + F;
  Vec squares_[F][TILES], norm_[TILES];
};
