// The engine, its vectors counting their operations: a stage's ticks are the operations in it.
//
// Counted are operations on vectors, a lane each, but for the objective's. Those on single numbers are not:
// the normalisation of images, and what a dense layer of several panels adds up between them.
#include <algorithm>
#include <cstdlib>
#include <new>
#include <tuple>
#include <utility>
#include <vector>

#include "lanes.hpp"
#include "objective.hpp"

static int64_t operations = 0;

template <class Native>
struct Counted {
  static constexpr int WIDTH = sizeof(Native) / sizeof(float);
  typedef int32_t Bits __attribute__((vector_size(sizeof(Native))));
  Native all;

  Counted() = default;
  Counted(Native v) : all(v) {}
  explicit Counted(Bits v) : all((Native)v) {}
  operator Native() const { return all; }
  explicit operator Bits() const { return (Bits)all; }
  float& operator[](int i) { return reinterpret_cast<float*>(&all)[i]; }
  float operator[](int i) const { return all[i]; }

  friend Bits operator<=(Counted a, Counted b) { return a.all <= b.all; }
  friend Counted operator+(Counted a, Counted b) { return operations += WIDTH, a.all + b.all; }
  friend Counted operator-(Counted a, Counted b) { return operations += WIDTH, a.all - b.all; }
  friend Counted operator*(Counted a, Counted b) { return operations += WIDTH, a.all * b.all; }
  friend Counted operator/(Counted a, Counted b) { return operations += WIDTH, a.all / b.all; }
  friend Counted operator+(Counted a, float b) { return operations += WIDTH, a.all + b; }
  friend Counted operator/(float a, Counted b) { return operations += WIDTH, a / b.all; }
  // Compilers leave out multiplications by 1.
  friend Counted operator*(float a, Counted b) {
    if (a != 1.0f) operations += WIDTH;
    return a * b.all;
  }
  Counted& operator+=(Counted b) { return *this = *this + b; }
};
using CountedVec = Counted<Vec>;
inline CountedVec keep(Mask m, CountedVec v) { return keep(m, v.all); }
inline CountedVec choose(Mask m, CountedVec a, CountedVec b) { return choose(m, a.all, b.all); }

#if defined(__x86_64__)
#undef __SSE2__  // its instructions are for plain vectors
#endif
#define __builtin_shuffle(a, b, ...) __builtin_shuffle((a).all, (b).all, __VA_ARGS__)
#define __builtin_shufflevector(a, b, ...) __builtin_shufflevector((a).all, (b).all, __VA_ARGS__)
#define STAGE_CLOCK operations
#define Vec CountedVec
#include "tile_lanes.hpp"
using CountedQuad = Counted<Quad>;
#define Quad CountedQuad
#include "engine.cpp"
