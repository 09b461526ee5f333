"""Floating-point operations of the adjoint Winograd transforms, counted in ``cpp/winograd.hpp``.

All are of one line: M outputs of an R-tap filter from as many inputs as there are points, M + R =
points + 1. A test compiles the source with numbers that count.
"""

from __future__ import annotations


def input_adjoint(points: int) -> int:
    """B u: with 8 points 6 for the sums and differences, then 5 + 6 + 6 + 7 + 6 + 3; with 7, which
    lack 0, 6, then 5 + 4 + 6 + 5 + 6 + 2; with 6 4, then 1 + 4 + 4 + 4 + 2; with 5 4, then
    4 + 2 + 4 + 1.
    """  # noqa: D205 (one formula)
    return {8: 39, 7: 34, 6: 19, 5: 15}[points]


def output_adjoint(points: int, outputs: int) -> int:
    """A y: the sums and differences, the second input, and each behind it.

    With 8 and 7 points 6, 2 and 5 each; with 6 and 5, which have a pair less, 4, 1 and 3 each.
    """
    pairs = (points - 1) // 2
    return 2 * pairs + pairs - 1 + (2 * pairs - 1) * (outputs - 2)
