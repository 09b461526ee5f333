// How the network's parameters stand in memory: one packed copy, which every layout of the kernel
// reads and an elementwise optimizer may update in place.
//
// A segment for each parameter, in the order weight, bias, weight, bias ..., each beginning at a
// cache line. Convolutions' weights stand as PyTorch has them; what the kernels derive from them is
// small. A dense layer's stand in rows, one for each input, so that an input that is zero costs
// nothing: neither its product nor its gradient needs its row.
#pragma once

#include "lanes.hpp"
#include "layers.hpp"

constexpr int LINE = 16;  // floats in a cache line
constexpr size_t whole_lines(size_t floats) { return (floats + LINE - 1) / LINE * LINE; }

// A dense layer's rows: [panel][row][output of the panel], panels of whole cache lines, then what
// is left of the outputs, if that is little: [row][TAIL]. Outputs beyond J are zero.
template <class S>
struct DenseRows {
  static constexpr int REST = S::J % LINE;
  static constexpr int TAIL = S::J > LINE && REST && REST <= 4 ? (REST == 3 ? 4 : REST) : 0;
  static constexpr int MAIN = TAIL ? S::J - REST : (int)whole_lines(S::J);
  // A panel's outputs fit in registers, with room for what they are multiplied by.
  static constexpr int WIDEST = REGISTERS == 32 ? 128 : 64;
  static constexpr int PANELS = (MAIN + WIDEST - 1) / WIDEST;
  static constexpr int WIDTH = (MAIN / LINE + PANELS - 1) / PANELS * LINE;  // the last may be less
  static constexpr size_t TAILS = (size_t)S::INPUTS * MAIN;  // where the tails begin
  static constexpr size_t SIZE = TAILS + (size_t)S::INPUTS * TAIL;

  // Outputs of panel p, and where its first row stands.
  static constexpr int width(int p) { return p < PANELS - 1 ? WIDTH : MAIN - WIDTH * (PANELS - 1); }
  static constexpr size_t panel(int p) { return (size_t)S::INPUTS * WIDTH * p; }

  // The place within image row y of input (x, channel): [channel][x % PHASE][x / PHASE]. A Winograd
  // layer that hands on tiles in lanes has equal phases side by side.
  static constexpr int in_row(int x, int c) {
    int before = 0;
    for (int phase = 0; phase < x % S::PHASE; phase++)
      before += (S::COLUMNS - phase + S::PHASE - 1) / S::PHASE;
    return c * S::COLUMNS + before + x / S::PHASE;
  }
  static constexpr int row(int y, int x, int c) { return y * S::ROW + in_row(x, c); }

  // Where the weight of output j in row r stands.
  static constexpr size_t at(int r, int j) {
    if (j >= MAIN) return TAILS + (size_t)r * TAIL + (j - MAIN);
    return panel(j / WIDTH) + (size_t)r * width(j / WIDTH) + j % WIDTH;
  }
};

template <class ConvolutionList, class DenseList>
struct Segments;
template <class... C, class... D>
struct Segments<List<C...>, List<D...>> {
  static constexpr size_t WEIGHTS[sizeof...(C) + sizeof...(D)] = {C::WEIGHTS..., DenseRows<D>::SIZE...};
  static constexpr size_t BIASES[sizeof...(C) + sizeof...(D)] = {(size_t)C::BIASES..., (size_t)D::BIASES...};

  // Where parameter k begins: layer k / 2, its weight if k is even, else its bias. start(2 LAYERS)
  // is the size of the whole, in floats.
  static constexpr size_t start(int k) {
    size_t at = 0;
    for (int i = 0; i < k; i++) at += whole_lines(i % 2 ? BIASES[i / 2] : WEIGHTS[i / 2]);
    return at;
  }
};
using Packed = Segments<Convolutions, Denses>;
