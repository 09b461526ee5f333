"""Throughput scaling: points compared by a rate, and not by the time that they took.

Where every point may do as much work as it likes, times cannot be compared. What one unit of the
work costs, the inverse of a rate, can: S = R_p / R_1. It takes the place of the seconds, so that
all that is done to times (ratios within rounds, intervals, fits) is done to it.
"""

from __future__ import annotations

from dataclasses import replace

from harness.errors import UserError
from harness.tables.table import plausible
from plots.shared.observations import Selection


def costs(selection: Selection, metric: str) -> Selection:
    """The same rows with the seconds that a unit of work took in the place of their seconds.

    Raises:
        UserError: if there is no such column, or a row has no number above 0 in it.
    """
    path = selection.path
    if metric not in selection.rows[0]:
        raise UserError(f"{path}: throughput scaling expects a column '{metric or 'with a rate'}' "
                        "(--metric names it)")  # fmt: skip
    for row in selection.rows:
        if not plausible(row[metric]):
            raise UserError(f"{path}: point {row['point']}, launch {row['launch']}: expected a "
                            f"number above 0 in '{metric}', found '{row[metric]}'")  # fmt: skip
    rows = tuple({**row, "seconds": 1.0 / row[metric]} for row in selection.rows)
    return replace(selection, rows=rows)
