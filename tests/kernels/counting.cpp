// The Winograd transforms computed with numbers that count their operations.
#include "lanes.hpp"

#include <cstdint>

static int64_t operations = 0;

struct Counted {};
inline Counted operator+(Counted, Counted) { return operations++, Counted(); }
inline Counted operator-(Counted, Counted) { return operations++, Counted(); }
// Compilers leave out multiplications by 1.
inline Counted operator*(float factor, Counted) { return operations += factor != 1.0f, Counted(); }
inline Counted& operator+=(Counted& a, Counted) { return operations++, a; }

#define Vec Counted
#include "winograd.hpp"

using namespace winograd;

template <int M>
void count(int64_t* out) {
  Counted tile[8], other[8], outputs[M];
  operations = 0, transform_input(tile, other), out[0] = operations;
  operations = 0, adjoint_input(tile, other), out[1] = operations;
  operations = 0, transform_output<M>(tile, outputs), out[2] = operations;
  operations = 0, adjoint_output<M>(outputs, tile), out[3] = operations;
}

extern "C" void count_operations(int outputs, int64_t* out) {
  if (outputs == 4) count<4>(out);
  if (outputs == 6) count<6>(out);
}
