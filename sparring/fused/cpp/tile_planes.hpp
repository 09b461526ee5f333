// How the layers of one image hand pixels on: planes [channel][row][column].
#pragma once

#include "tile_lanes.hpp"

// Where planes stand: pixel (0, 0) of channel 0 at `data`.
template <int CHANNEL, int ROW, class T = float>
struct Planes {
  T* data;
  T* row(int c, int y) const { return data + (ptrdiff_t)c * CHANNEL + (ptrdiff_t)y * ROW; }
};

// A row of COUNT numbers. Whole vectors are copied: up to LANES - 1 numbers behind both rows are
// read and written, so rows are copied in the order in which they stand.
template <int COUNT>
ALWAYS_INLINE void copy_row(const float* from, float* to) {
  UNROLL for (int i = 0; i < COUNT; i += LANES) store_vec(to + i, load_vec(from + i));
}
