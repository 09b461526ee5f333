"""Kernels under the roofs of machines: what ``roofline.csv`` says, point by point.

A point is a kernel's variant on one batch. Of a repetition there is a row for each level of memory
and each source of its traffic. Performance is measured, or, on a machine that was not at hand, the
bound that its roofs and the simulated traffic imply; the two are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.errors import InputError, UserError
from harness.tables import read_cells
from plots.roofline_roofs import LEVELS, Roofs

SCHEMA_VERSION = 1
REQUIRED = (
    "kernel", "variant", "batch_size", "input_size", "dtype", "threads", "machine", "level",
    "flops", "bytes_source", "arithmetic_intensity", "seconds", "ceiling_gflops", "source",
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
        traffic: by source of bytes, the intensity of each level in FLOP per byte.
        gflops: measured, by one thread or more; None where only a bound is known.
        flops: executed in one call.
    """

    kernel: str
    variant: str
    batch_size: int
    input_size: int
    traffic: Mapping[str, Mapping[str, float]]
    gflops: float | None
    flops: float

    @property
    def bytes_source(self) -> str:
        """The most trusted source of its traffic."""
        return next(source for source in BYTES_SOURCES if source in self.traffic)

    @property
    def intensities(self) -> Mapping[str, float]:
        """Of that source, by level."""
        return self.traffic[self.bytes_source]


@dataclass(frozen=True)
class Placed:
    """A point under roofs.

    Attributes:
        point: the point.
        bytes_source: of the traffic that places it.
        intensities: of each level.
        bound: GFLOP/s that the roofs allow.
        limit: the level that bounds it, or "FMA".
        gflops: what was measured, else the bound.
        measured: which of the two.
    """

    point: Point
    bytes_source: str
    intensities: Mapping[str, float]
    bound: float
    limit: str
    gflops: float
    measured: bool

    @property
    def percent(self) -> float | None:
        """Of the bound that was reached; None where nothing was measured."""
        return 100 * self.gflops / self.bound if self.measured else None


@dataclass(frozen=True)
class Panel:
    """A machine.

    Attributes:
        machine: as the table names it.
        roofs: over its points.
        points: all of the table's.
    """

    machine: str
    roofs: Roofs
    points: tuple[Point, ...]

    @property
    def measured(self) -> bool:
        """Whether any point was measured there."""
        return any(point.gflops is not None for point in self.points)

    def place(self, point: Point, source: str | None = None) -> Placed:
        """A point under this machine's roofs.

        Args:
            point: one of the panel's.
            source: of the traffic; the most trusted if None.
        """
        chosen = source or point.bytes_source
        bound, limit = self.roofs.bound(point.traffic[chosen])
        performance = bound if point.gflops is None else point.gflops
        return Placed(
            point, chosen, point.traffic[chosen], bound, limit, performance,
            point.gflops is not None,
        )  # fmt: skip

    def shown(self, points: Sequence[Point]) -> Placed:
        """The point that stands for all of a kernel: the largest batch with the best traffic."""
        best = min((point.bytes_source for point in points), key=BYTES_SOURCES.index)
        return self.place([point for point in points if point.bytes_source == best][-1])

    def of(self, kernel: str, variant: str) -> list[Point]:
        """The points of a kernel's variant, by batch size."""
        own = [p for p in self.points if (p.kernel, p.variant) == (kernel, variant)]
        return sorted(own, key=lambda point: point.batch_size)


@dataclass(frozen=True)
class Study:
    """What a table of kernels says.

    Attributes:
        path: the table.
        panels: machines, those measured first.
        notes: what was left out and why.
    """

    path: Path
    panels: tuple[Panel, ...]
    notes: tuple[str, ...]

    @property
    def kernels(self) -> list[str]:
        """In the table's order."""
        return list(dict.fromkeys(p.kernel for panel in self.panels for p in panel.points))

    def chosen(self, variants: Sequence[str] = ()) -> dict[str, str]:
        """One variant of each kernel: the first of those asked for, else the fastest.

        The fastest is the one with the least measured time on the largest batch that all variants
        of the kernel were measured on, among those whose traffic is known best; where none was
        measured, the first of them.

        Raises:
            UserError: if nothing has a variant that was asked for.
        """
        points = [point for panel in self.panels for point in panel.points]
        known = sorted({point.variant for point in points})
        if strange := [name for name in variants if name not in known]:
            raise UserError(f"{self.path}: no variant '{strange[0]}'; it has {', '.join(known)}")
        found = {}
        for kernel in self.kernels:
            own = [point for point in points if point.kernel == kernel]
            best = min(BYTES_SOURCES.index(point.bytes_source) for point in own)
            names = list(dict.fromkeys(point.variant for point in own))
            wanted = [name for name in variants if name in names]
            if wanted or not variants:
                known_best = {p.variant for p in own if p.bytes_source == BYTES_SOURCES[best]}
                candidates = [point for point in own if point.variant in known_best]
                found[kernel] = wanted[0] if wanted else _fastest(candidates)
        return found


def _fastest(points: Sequence[Point]) -> str:
    times: dict[str, dict[int, float]] = {}
    for p in points:
        if p.gflops:
            # Variants execute different numbers of operations: compared are their times.
            times.setdefault(p.variant, {})[p.batch_size] = p.flops / p.gflops
    if not times:
        return points[0].variant
    common = set.intersection(*(set(own) for own in times.values()))
    if not common:
        return next(iter(times))
    return min(times, key=lambda name: times[name][max(common)])


def analyse(
    path: Path, roofs: Mapping[tuple[str, int], Roofs], *, threads: int = 1,
    input_size: int | None = None,
) -> Study:  # fmt: skip
    """Read a table and put its points under roofs.

    Args:
        path: ``roofline.csv``.
        roofs: by machine and number of cores. Measured points stand under the roofs of as many
            cores as they had threads; bounds of a machine that was not at hand under those of all
            its cores.
        threads: of the points.
        input_size: rows of an image; the most frequent one if None.

    Raises:
        UserError: if no point can be placed.
        InputError: if it is no such table.
    """
    _, rows = read_cells(path, REQUIRED, SCHEMA_VERSION)
    rows = [row for row in rows if row.get("status", "ok") in ("ok", "")]
    notes: list[str] = []
    if not rows:
        raise UserError(f"{path}: holds no kernels; run `python -m kernels measure` first")
    sizes = [int(row["input_size"]) for row in rows]
    size = input_size or max(sorted(set(sizes)), key=sizes.count)
    kept = [r for r in rows if int(r["input_size"]) == size and int(r["threads"]) == threads]
    if not kept:
        raise UserError(
            f"{path}: no kernels with input size {size} and {threads} threads; it has input sizes "
            f"{_list(sizes)} and {_list(int(r['threads']) for r in rows)} threads"
        )
    if other := len(rows) - len(kept):
        notes.append(f"{other} rows of other input sizes or numbers of threads are not drawn")
    panels = []
    for machine in dict.fromkeys(row["machine"] for row in kept):
        own = _latest([row for row in kept if row["machine"] == machine])
        points, empty = _points(path, own)
        roof = _over(machine, roofs, threads, any(p.gflops is not None for p in points))
        if empty:
            notes.append(f"without operations, so on no roofline: {', '.join(empty)}")
        if roof is None:
            notes.append(f"no roofs of {machine}: `python -m kernels ceilings` on it, or "
                         "`python -m kernels machines --csv` writes them")  # fmt: skip
        elif points:
            panels.append(Panel(machine, roof, tuple(points)))
    if not panels:
        raise UserError(f"{path}: no kernel can be placed: {'; '.join(dict.fromkeys(notes))}")
    panels.sort(key=lambda panel: not panel.measured)
    return Study(path, tuple(panels), tuple(dict.fromkeys(notes)))


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(numbers))))


def _over(
    machine: str, roofs: Mapping[tuple[str, int], Roofs], threads: int, measured: bool
) -> Roofs | None:
    if measured:
        return roofs.get((machine, threads))
    counts = [cores for name, cores in roofs if name == machine]
    return roofs[machine, max(counts)] if counts else None


def _key(row: Row) -> tuple[str, str, int, int]:
    return row["kernel"], row["variant"], int(row["batch_size"]), int(row["input_size"])


def _latest(rows: Sequence[Row]) -> list[Row]:
    """Of each point the rows of its latest run."""
    runs: dict[tuple[str, str, int, int], str] = {}
    for row in rows:
        runs[_key(row)] = max(row.get("run", ""), runs.get(_key(row), ""))
    return [row for row in rows if row.get("run", "") == runs[_key(row)]]


def _points(path: Path, rows: Sequence[Row]) -> tuple[list[Point], list[str]]:
    """The points, and the kernels without operations."""
    groups: dict[tuple[str, str, int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    points, empty = [], []
    for (kernel, variant, batch, size), own in groups.items():
        traffic: dict[str, dict[str, float]] = {}
        for row in own:
            intensity = _number(path, row, "arithmetic_intensity")
            if intensity and row["bytes_source"] in BYTES_SOURCES and row["level"] in LEVELS:
                traffic.setdefault(row["bytes_source"], {})[row["level"]] = intensity
        flops = _number(path, own[0], "flops")
        if not traffic or not flops:
            empty.append(kernel)
            continue
        # The rows of a repetition repeat its time.
        times = {
            row.get("repetition", ""): seconds
            for row in own
            if row["source"] in MEASURED and (seconds := _number(path, row, "seconds"))
        }
        gflops = flops / median(times.values()) / 1e9 if times else None
        points.append(Point(kernel, variant, batch, size, traffic, gflops, flops))
    return points, list(dict.fromkeys(empty))


def _number(path: Path, row: Row, column: str) -> float | None:
    try:
        return float(row[column]) if row[column] else None
    except ValueError:
        raise InputError(
            path, f"the column '{column}' holds '{row[column]}'; expected a number"
        ) from None
