// Register blocks: the one multiply kernel behind convolutions, Winograd products and dense layers.
//
//   out[t][c] = sum over d of in[t * STRIDE + d] * weights[d][c]      t < TILES, c < CHANNELS
//
// `in` and `out` are vectors over images, weights are scalars that every image shares. A block of
// TB x CB sums stays in registers while d runs: each vector loaded serves CB multiplications, each
// weight TB, and neither is loaded twice.
#pragma once

#include "lanes.hpp"

// How a TILES x CHANNELS product is cut into register blocks.
struct Blocking {
  int tiles, channels;
};

// The size of blocks of at most `most` that cut `whole` most evenly.
constexpr int even(int whole, int most) {
  int blocks = (whole + most - 1) / most;
  return (whole + blocks - 1) / blocks;
}

// What a block costs per d, in cycles of a core with two FMA units and two load ports whose FMAs
// take four cycles; only ratios matter.
constexpr int block_cost(int tb, int cb) {
  int multiplies = tb * cb, loads = tb + cb;
  int cycles = multiplies > loads ? multiplies : loads;
  return cycles > 8 ? cycles : 8;
}

constexpr Blocking best_blocking(int tiles, int channels) {
  Blocking best{1, 1};
  long least = -1;
  for (int tb = 1; tb <= tiles && tb < REGISTERS; tb++)
    for (int cb = 1; cb <= channels && tb * cb + tb + 1 <= REGISTERS; cb++) {
      int nt = tiles / tb, rt = tiles % tb, nc = channels / cb, rc = channels % cb;
      long cost = (long)nt * nc * block_cost(tb, cb);
      if (rt) cost += (long)nc * block_cost(rt, cb);
      if (rc) cost += (long)nt * block_cost(tb, rc);
      if (rt && rc) cost += block_cost(rt, rc);
      // Among equals the one with fewer loads.
      cost = cost * 64 + (long)(nt + (rt > 0)) * channels + (long)(nc + (rc > 0)) * tiles;
      if (least < 0 || cost < least) {
        least = cost;
        best = {tb, cb};
      }
    }
  return best;
}

// sums[t][c] += in[t * STRIDE + d] * weights[d * CB + c] for d < DEPTH.
template <int TB, int CB, int STRIDE, int DEPTH>
ALWAYS_INLINE void multiply_block(Vec (&sums)[TB][CB], const Vec* in, const float* weights) {
#pragma GCC unroll 2
  for (int d = 0; d < DEPTH; d++) {
    Vec v[TB];
    UNROLL for (int t = 0; t < TB; t++) v[t] = in[t * STRIDE + d];
    UNROLL for (int c = 0; c < CB; c++) {
      float w = weights[d * CB + c];
      UNROLL for (int t = 0; t < TB; t++) sums[t][c] += w * v[t];
    }
  }
}

// Calls body(block start, constant of its width) over 0..N in blocks of B and one of the rest.
template <int N, int B, class Body>
ALWAYS_INLINE void over_blocks(Body&& body) {
  for (int start = 0; start + B <= N; start += B) body(start, std::integral_constant<int, B>{});
  if constexpr (N % B != 0) body(N - N % B, std::integral_constant<int, N % B>{});
}

// Where the weights of the block that begins at channel c start, if each block holds [DEPTH][CB].
constexpr int block_offset(int c, int depth) { return c * depth; }

// Packs weight(d, c) as blocks of CB channels, each [depth][width of the block].
template <int CHANNELS, int CB, class Weight>
void pack_blocks(float* out, int depth, Weight&& weight) {
  for (int start = 0; start < CHANNELS; start += CB) {
    int width = CHANNELS - start < CB ? CHANNELS - start : CB;
    for (int d = 0; d < depth; d++)
      for (int c = 0; c < width; c++) *out++ = weight(d, start + c);
  }
}
