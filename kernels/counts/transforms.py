"""Floating-point operations of the adjoint Winograd transforms, counted in ``cpp/winograd.hpp``.

All are of one line: M outputs of an R-tap filter from as many inputs as there are points, M + R =
points + 1. A test compiles the source with numbers that count.
"""

from __future__ import annotations


def input_adjoint(points: int) -> int:
    """B u: with 8 points 6 for the sums and differences, then 5 + 6 + 6 + 7 + 6 + 3; with 6 4, then
    1 + 4 + 4 + 4 + 2.
    """  # noqa: D205 (one formula)
    return {8: 39, 6: 19}[points]


def output_adjoint(points: int, outputs: int) -> int:
    """A y: the sums and differences, the second input, and each behind it.

    With 8 points 6, 2 and 5 each; with 6, which have a pair of points less, 4, 1 and 3 each.
    """
    pairs = points // 2 - 1
    return 2 * pairs + pairs - 1 + (2 * pairs - 1) * (outputs - 2)
