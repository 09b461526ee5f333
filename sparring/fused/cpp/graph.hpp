// Which layer takes which value, and where two rows meet.
//
// Value V is what layer V of `Convolutions` gives, -1 the image; SOURCES, generated, says which
// values each layer takes. Whatever takes none of a second one is a link of a chain. A value may be
// taken twice, by one addition at most; the last one is taken by the first dense layer.
#pragma once

#include "lanes.hpp"
#include "layers.hpp"

struct Taker {
  int layer, port;
};

constexpr int source(int layer, int port) { return SOURCES[layer][port]; }
constexpr bool is_addition(int layer) { return layer < CONVOLUTIONS && SOURCES[layer][1] != NO_VALUE; }

constexpr int takers(int value) {
  int count = value == CONVOLUTIONS - 1;
  for (int layer = 0; layer < CONVOLUTIONS; layer++)
    for (int port = 0; port < 2; port++) count += SOURCES[layer][port] == value;
  return count;
}

// Additions first: what they wait for is there then before a row sets out on the longer way.
constexpr Taker taker(int value, int number) {
  for (bool addition : {true, false})
    for (int layer = 0; layer < CONVOLUTIONS; layer++)
      for (int port = 0; port < 2; port++)
        if (is_addition(layer) == addition && SOURCES[layer][port] == value && number-- == 0)
          return {layer, port};
  return {CONVOLUTIONS, 0};
}

constexpr bool well_formed() {
  for (int value = -1; value < CONVOLUTIONS; value++) {
    int count = takers(value);
    if (count < 1 || count > 2) return false;
    if (count == 2 && is_addition(taker(value, 0).layer) && is_addition(taker(value, 1).layer))
      return false;
  }
  return true;
}
static_assert(well_formed(), "a value is taken once or twice, and by one addition at most");

// Two streams of ROWS rows each, in order, that are added up row by row. Which one is ahead does
// not matter, and may change.
template <int ROWS, int ROW>
class Join {
 public:
  // Where the stream's row y, its next, is to be written.
  Vec* slot(int stream, int y) { return waits(stream, y) ? row_ : rows_[y]; }

  // It is there; returns whether the other stream's is, too: then `sum` may be read.
  bool arrived(int stream, int y) {
    const bool both = waits(stream, y);
    come_[stream] = y + 1;
    if (come_[0] == ROWS && come_[1] == ROWS) come_[0] = come_[1] = 0;
    return both;
  }

  const Vec* sum(int y) {
    for (int i = 0; i < ROW; i++) rows_[y][i] += row_[i];
    return rows_[y];
  }
  ALWAYS_INLINE Vec sum(int y, int i) const { return rows_[y][i] + row_[i]; }

 private:
  bool waits(int stream, int y) const { return come_[1 - stream] > y; }

  int come_[2];
  Vec rows_[ROWS][ROW], row_[ROW];
};
