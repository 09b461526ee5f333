"""What a comparison of three arms says: older code, newer code, and the newer code once more.

The third arm is the null: it is the second's code, in another folder, so whatever shows between the
two is not the code. Where it shows a difference nothing can be said of the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.tables.statistics import CONFIDENCE, Ratio, in_rounds, summarize_ratios

#: Seconds by round, by point.
Times = Mapping[str, Mapping[str, float]]

ALPHA = 1.0 - CONFIDENCE


@dataclass(frozen=True)
class Compared:
    """One point.

    Attributes:
        point: its id.
        ratio: newer over older seconds (above 1: slower).
        null: newer over newer seconds.
        p_value: of the ratio being 1, adjusted for the number of points.
        null_p_value: of the null, likewise.
        word: ``slower``, ``faster``, ``no difference found``, ``too few rounds``; where the
            comparison is void, ``withdrawn``.
    """

    point: str
    ratio: Ratio
    null: Ratio
    p_value: float
    null_p_value: float
    word: str

    @property
    def resolution(self) -> float | None:
        """The smallest change that the null's interval lets tell apart, as a share; or None."""
        if self.null.low is None or self.null.high is None:
            return None
        return math.sqrt(self.null.high / self.null.low) - 1


@dataclass(frozen=True)
class Judgement:
    """All points, and whether the null arm voids what is said of them."""

    points: tuple[Compared, ...]
    void: bool

    @property
    def exit_code(self) -> int:
        """0 if nothing is slower, 1 if something is, 3 if nothing can be said."""
        words = {compared.word for compared in self.points}
        if "slower" in words:
            return 1
        return 3 if words & {"withdrawn", "too few rounds"} else 0


def judge(older: Times, newer: Times, again: Times, tolerance: float = 0.0) -> Judgement:
    """Compare the points that all three arms have in common rounds.

    The ratios' p-values, and the null's, are adjusted by Holm's method ("A Simple Sequentially
    Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979), so that one
    false alarm in 20 comparisons is expected, however many points they have.

    Args:
        older: of the older code.
        newer: of the newer code.
        again: of the newer code in the null arm.
        tolerance: a change is told only if its whole interval is beyond this, as a share.
    """
    pairs = {}
    for point in newer:
        ratios = in_rounds(newer[point], older.get(point, {}))
        nulls = in_rounds(again.get(point, {}), newer[point])
        if ratios and nulls:
            pairs[point] = summarize_ratios(ratios), summarize_ratios(nulls)
    adjusted = holm([ratio.p_value for ratio, _ in pairs.values()])
    null_adjusted = holm([null.p_value for _, null in pairs.values()])
    void = any(p <= ALPHA for p in null_adjusted)
    return Judgement(
        tuple(
            Compared(point, ratio, null, p, null_p,
                     "withdrawn" if void else _word(ratio, p, len(pairs), tolerance))
            for (point, (ratio, null)), p, null_p in zip(
                pairs.items(), adjusted, null_adjusted, strict=True)
        ),
        void,
    )  # fmt: skip


def _word(ratio: Ratio, p_value: float, points: int, tolerance: float) -> str:
    if rounds_needed(points) > ratio.n or ratio.low is None or ratio.high is None:
        return "too few rounds"
    if p_value <= ALPHA and ratio.low > 1 + tolerance:
        return "slower"
    if p_value <= ALPHA and ratio.high < 1 / (1 + tolerance):
        return "faster"
    return "no difference found"


def rounds_needed(points: int) -> int:
    """The fewest rounds with which the signed-rank test can tell one of so many points apart."""
    return math.ceil(1 + math.log2(points / ALPHA))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number, in their order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
