"""The points of ``roofline.csv``: a kernel's variant on one batch, on one machine.

Of a repetition the table has a row for each level of memory and each source of its traffic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.errors import InputError
from plots.roofline.roofs import LEVELS

SCHEMA_VERSION = 1
COLUMNS = (
    "kernel", "variant", "batch_size", "input_size", "dtype", "threads", "machine", "level",
    "flops", "bytes", "bytes_source", "seconds", "source",
)  # fmt: skip
#: Sources of traffic, the most trusted first.
BYTES_SOURCES = ("likwid", "cachesim", "compulsory")
#: Sources of rows whose performance was measured; of all others only a bound is known.
MEASURED = ("measured", "oversubscribed")

Row = Mapping[str, str]


@dataclass(frozen=True)
class Point:
    """A kernel's variant on one batch.

    Attributes:
        kernel, variant, batch_size, input_size: which.
        flops: executed in one call; 0 of a kernel that only moves numbers.
        traffic: by source of bytes, the bytes of one call at each level.
        seconds: of one call, the median; None where nothing was measured.
    """

    kernel: str
    variant: str
    batch_size: int
    input_size: int
    flops: float
    traffic: Mapping[str, Mapping[str, float]]
    seconds: float | None

    @property
    def bytes_source(self) -> str:
        """The most trusted source of its traffic."""
        return next(source for source in BYTES_SOURCES if source in self.traffic)

    @property
    def gflops(self) -> float | None:
        """Measured; None where nothing was."""
        return self.flops / self.seconds / 1e9 if self.seconds else None

    def intensities(self, source: str) -> dict[str, float]:
        """FLOP per byte at each level at which bytes move, by one of its sources."""
        return {level: self.flops / size for level, size in self.traffic[source].items() if size}


def _key(row: Row) -> tuple[str, str, int, int]:
    return row["kernel"], row["variant"], int(row["batch_size"]), int(row["input_size"])


def latest(rows: Sequence[Row]) -> list[Row]:
    """Of each point the rows of its latest run."""
    runs: dict[tuple[str, str, int, int], str] = {}
    for row in rows:
        runs[_key(row)] = max(row.get("run", ""), runs.get(_key(row), ""))
    return [row for row in rows if row.get("run", "") == runs[_key(row)]]


def points(path: Path, rows: Sequence[Row]) -> list[Point]:
    """The points, each with the median time of its repetitions.

    Raises:
        InputError: if a cell holds no number.
    """
    groups: dict[tuple[str, str, int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    found = []
    for key, own in groups.items():
        traffic: dict[str, dict[str, float]] = {}
        for row in own:
            size = _number(path, row, "bytes")
            if size is not None and row["bytes_source"] in BYTES_SOURCES and row["level"] in LEVELS:
                traffic.setdefault(row["bytes_source"], {})[row["level"]] = size
        # The rows of a repetition repeat its time.
        times = {
            row.get("repetition", ""): seconds
            for row in own
            if row["source"] in MEASURED and (seconds := _number(path, row, "seconds"))
        }
        flops, seconds = _number(path, own[0], "flops") or 0.0, median(times.values() or [0.0])
        if any(size for sizes in traffic.values() for size in sizes.values()):
            found.append(Point(*key, flops, traffic, seconds or None))
    return found


def _number(path: Path, row: Row, column: str) -> float | None:
    try:
        return float(row[column]) if row[column] else None
    except ValueError:
        raise InputError(
            path, f"the column '{column}' holds '{row[column]}'; expected a number"
        ) from None
