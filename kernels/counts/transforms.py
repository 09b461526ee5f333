"""Floating-point operations of the Winograd transforms, counted in ``cpp/winograd.hpp``.

All are of one line: M outputs of an R-tap filter from 8 inputs, M + R = 9. A test compiles the
source with numbers that count.
"""

from __future__ import annotations

#: Points of the transform, and inputs of a tile along a side.
POINTS = 8
#: B' d: 4 + 4 for the points 0 and infinity, 8 for +-1, 11 each for +-2 and +-1/2.
OF_INPUT = 38
#: B u: 6 for the sums and differences, then 5 + 6 + 6 + 7 + 6 + 3.
INPUT_ADJOINT = 39


def of_output(outputs: int) -> int:
    """A' m: 6 for the sums and differences, 2 for the first output, 4 for the others, 2 ends."""
    return 6 + 2 + 4 * (outputs - 1) + 2


def output_adjoint(outputs: int) -> int:
    """A y: 6 for the sums and differences, 2 for the second input, 5 for each behind it."""
    return 6 + 2 + 5 * (outputs - 2)
