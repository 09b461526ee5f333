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

// Two streams of ROWS rows each, in order, that meet row by row. Which one is ahead does not matter,
// and may change.
template <int ROWS>
class Meeting {
 public:
  // Whether the other stream's row y is there already.
  bool waited_for(int stream, int y) const { return come_[1 - stream] > y; }

  // The stream's row y is there; where it was waited for, both are.
  void arrived(int stream, int y) {
    come_[stream] = y + 1;
    if (come_[0] == ROWS && come_[1] == ROWS) come_[0] = come_[1] = 0;
  }

 private:
  int come_[2];
};

// They are added up. A row that waits gets the place that was given back last, which is in cache
// still: places are as many as rows, but few of them are ever touched.
template <int ROWS, int ROW>
class Join : public Meeting<ROWS> {
 public:
  // Where the stream's row y, its next, is to be written.
  Vec* slot(int stream, int y) { return this->waited_for(stream, y) ? row_ : place(y); }

  // The row that waits, and the one that it waits for where that was written to its slot.
  Vec* waiting(int y) { return place(y); }
  const Vec* last() const { return row_; }

  // Row y is not needed any longer.
  void give_back(int y) {
    free_[given_back_++] = place_[y] - 1;
    place_[y] = 0;
  }

 private:
  Vec* place(int y) {
    if (!place_[y]) place_[y] = (given_back_ > 0 ? free_[--given_back_] : taken_++) + 1;
    return rows_[place_[y] - 1];
  }

  int place_[ROWS];             // of each row, from 1 on; 0 where it has none
  int free_[ROWS], given_back_;  // places that were given back
  int taken_;                   // places that ever were taken
  Vec rows_[ROWS][ROW], row_[ROW];
};
