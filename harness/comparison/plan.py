"""How long a comparison goes on: until its intervals are narrow, or until it can give verdicts.

A preset that gives its points too few launches for an interval, as ``smoke`` does, asks whether a
study works here, in a minute. Its launches are short and their times vary, so that a precision
would be sought for long and in vain.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.study.values import Measure
from harness.tables.statistics import interval_ranks

#: Where neither the command nor the study says otherwise.
ROUNDS, MOST_ROUNDS, PRECISION = 10, 30, 0.02


@dataclass(frozen=True)
class Plan:
    """How long a comparison goes on.

    Attributes:
        rounds: at least so many; None: as many as verdicts on its points need.
        most_rounds: at most so many, where a precision is sought.
        precision: the relative half width of every ratio's interval at which it ends; None: none
            is sought, and it ends after ``rounds``.
        tolerance: a change is told only if its whole interval is beyond this, as a share.
        duets: whether two arms are launched at the same time, where both have cores.
    """

    rounds: int | None
    most_rounds: int
    precision: float | None
    tolerance: float = 0.0
    duets: bool = False


def planned(
    measure: Measure, rounds: int | None = None, most_rounds: int | None = None,
    precision: float | None = None, tolerance: float = 0.0, duets: bool = False,
) -> Plan:  # fmt: skip
    """The plan of a command line, whose options are None where it is silent.

    Args:
        measure: of the study, its preset chosen.
        rounds: at least so many.
        most_rounds: at most so many.
        precision: the relative half width of intervals to reach.
        tolerance: the share beyond which a change is told.
        duets: whether two arms are launched at the same time.
    """
    most_launches = max(measure.launches, measure.max_launches or 0)
    if precision is None and most_rounds is None and interval_ranks(most_launches) is None:
        return Plan(rounds, 0, None, tolerance, duets)
    most = MOST_ROUNDS if most_rounds is None else most_rounds
    least = min(ROUNDS, most) if rounds is None else rounds
    sought = PRECISION if precision is None else precision
    return Plan(least, max(least, most), sought, tolerance, duets)
