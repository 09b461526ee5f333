"""``<study>.points.csv``: the points of a preset, and how far each is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from harness.files import write_whole
from harness.run.schedule import PointState
from harness.study.study import Study
from harness.tables import columns
from harness.tables import table as tables
from harness.tables.schemas import add_kinds


def write_points(
    results: Path, study: Study, states: Iterable[PointState], environment: str
) -> None:
    """Write ``<study>.points.csv``: what this preset's points are, and how far each is."""
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    for state in states:
        point, summary = state.point, state.summary
        names += [name for name in point.parameters if name not in names]
        rows.append({
            **point.parameters,
            "study": study.name,
            "preset": study.preset,
            "point": point.id,
            "state": state.state(study.measure),
            "source": state.source,
            "cores": point.cores,
            "launches_ok": len(state.launch_seconds),
            "launches_failed": len(state.failures),
            "median_seconds": summary.median if summary else None,
            "low_seconds": summary.low if summary else None,
            "high_seconds": summary.high if summary else None,
            "stopped_by": state.stopped_by(study.measure),
            "environment": environment,
            "point_marks": " ".join(kind.mark for kind in state.kinds),
            **(_ratios(state) if study.measure.baseline else {}),
            **(_rate(state) if study.measure.throughput else {}),
        })  # fmt: skip
    ratios = columns.RATIO_COLUMNS if study.measure.baseline else ()
    rates = columns.RATE_COLUMNS if study.measure.throughput else ()
    known = (*columns.POINT_COLUMNS, *ratios, "point_marks", *rates)
    header = [*known, *(name for name in names if name not in known)]
    path = tables.points_path(results, study.name)
    tables.write_schema(path, add_kinds({}, rows))
    write_whole(path, tables.format_csv(header, map(tables.cells_of, rows)))


def _rate(state: PointState) -> dict[str, str | float | None]:
    """What points are compared by, by `harness.tables.columns.RATE_COLUMNS`."""
    values = (state.throughput, median(state.rates) if state.rates else None)
    return dict(zip(columns.RATE_COLUMNS, values, strict=True))


def _ratios(state: PointState) -> dict[str, float | None]:
    """How a point compares with its baseline, by `harness.tables.columns.RATIO_COLUMNS`."""
    speedup = state.speedup
    values = (speedup.n, speedup.value, speedup.low, speedup.high) if speedup else (0, *3 * (None,))
    return dict(zip(columns.RATIO_COLUMNS, values, strict=True))
