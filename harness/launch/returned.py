"""What a workload's methods return, checked on the rank that called them.

All of it becomes cells of tables. What cannot is told at once, by the method's name: in a launch
file it would be found too late, when the work is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from harness.tables.columns import (
    DETAIL_COLUMNS,
    LAUNCH_COLUMNS,
    ROW_COLUMNS,
    Value,
    plausible,
)

TYPE_CHECKING = False  # a rank imports no typing for this
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_KEY = DETAIL_COLUMNS[:3]


def checked_metrics(method: str, returned: Any, parameters: Iterable[str]) -> dict[str, Value]:
    """The metrics that ``run`` or ``observe`` returned; none for None.

    Raises:
        TypeError: if it is no dictionary from names to single values.
        ValueError: if a metric has the name of another column.
    """
    metrics = _cells(f"{method} returned", returned, "a dict of metrics")
    for name in metrics:
        if name in ROW_COLUMNS or name in LAUNCH_COLUMNS or name in parameters:
            raise ValueError(f"the workload's metric '{name}' has the name of another column")
    return metrics


def check_throughput(metrics: Mapping[str, Value], name: str) -> None:
    """Refuse a repetition that does not tell the rate that its study compares points by.

    Raises:
        ValueError: if the metric of this name is no number above 0; an empty name asks for none.
    """
    if name and not plausible(metrics.get(name)):
        raise ValueError(
            f"measure.throughput names the metric '{name}'; expected a number above 0, found "
            f"{_shown(metrics.get(name))}"
        )


def checked_report(returned: Any) -> dict[str, Value]:
    """What ``rank_report`` returned.

    Raises:
        TypeError: if it is no dictionary from names to single values.
        ValueError: if a name is one of the columns that tell which repetition it was.
    """
    report = _cells("rank_report() returned", returned, "a dict of columns")
    _check_names("rank_report()", report, _KEY)
    return report


def checked_details(returned: Any) -> list[dict[str, Value]]:
    """The events that ``details`` returned; none for None.

    Raises:
        TypeError: if it is no list of dictionaries from names to single values.
        ValueError: if a name is one of the columns that tell which repetition and event it was.
    """
    if returned is None:
        return []
    if not isinstance(returned, list | tuple):
        raise TypeError(f"details() returned {_shown(returned)}; expected a list of dicts")
    rows = []
    for number, row in enumerate(returned):
        if row is None:
            raise TypeError(f"details()[{number}] is None; expected a dict of columns")
        rows.append(_cells(f"details()[{number}] is", row, "a dict of columns"))
        _check_names("details()", rows[-1], DETAIL_COLUMNS)
    return rows


def _check_names(method: str, cells: Iterable[str], taken: Iterable[str]) -> None:
    for name in cells:
        if name in taken:
            raise ValueError(f"{method} has '{name}', the name of a column that the harness fills")


def _cells(what: str, returned: Any, expected: str) -> dict[str, Value]:
    if returned is None:
        return {}
    if not isinstance(returned, Mapping):
        raise TypeError(f"{what} {_shown(returned)}; expected {expected}")
    cells = {str(name): _plain(value) for name, value in returned.items()}
    for name, value in cells.items():
        if not isinstance(value, Value):
            raise TypeError(
                f"{what} a {type(value).__name__} as '{name}'; expected a number, text or truth "
                "value"
            )
    return cells


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's own, which JSON knows."""
    if hasattr(value, "item"):
        with contextlib.suppress(ValueError, RuntimeError, TypeError):  # an array of several
            return value.item()
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."
