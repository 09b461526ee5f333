// How the layers of one image hand pixels on: planes [channel][row][column].
#pragma once

#include "tile_lanes.hpp"

// Where planes stand: pixel (0, 0) of channel 0 at `data`.
template <int CHANNEL, int ROW, class T = float>
struct Planes {
  T* data;
  T* row(int c, int y) const { return data + (ptrdiff_t)c * CHANNEL + (ptrdiff_t)y * ROW; }
};
