"""Kernels under the roofs of machines: what ``roofline.csv`` says, point by point.

A point is a kernel's variant on one batch. Of a repetition there is a row for each level of memory
and each source of its traffic. Performance is measured, or, on a machine that was not at hand, the
bound that its roofs and the simulated traffic imply; the two are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UserError
from harness.tables.table import read_cells
from plots.roofline.groups import GROUPS, group
from plots.roofline.points import BYTES_SOURCES, COLUMNS, SCHEMA_VERSION, Point, latest, points
from plots.roofline.predictions import Key, of_machine
from plots.roofline.roofs import Roofs

#: A kernel and its variant.
Entry = tuple[str, str]


@dataclass(frozen=True)
class Placed:
    """A point under roofs.

    Attributes:
        point: the point.
        bytes_source: of the traffic that places it.
        intensities: FLOP per byte of each level; all 0 of a kernel that only moves numbers.
        bound: GFLOP/s that the roofs allow.
        limit: the level that bounds it, or "FMA".
        gflops: what was measured, else the bound.
        percent: of the bound that was reached; None where nothing was measured.
    """

    point: Point
    bytes_source: str
    intensities: Mapping[str, float]
    bound: float
    limit: str
    gflops: float
    percent: float | None

    @property
    def measured(self) -> bool:
        """Whether its performance was measured, and is not only a bound."""
        return self.percent is not None


@dataclass(frozen=True)
class Panel:
    """A machine.

    Attributes:
        machine: as the table names it.
        roofs: over its points.
        points: all of the table's.
        predicted: see `plots.roofline.predictions.of_machine`.
    """

    machine: str
    roofs: Roofs
    points: tuple[Point, ...]
    predicted: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether any point was measured there."""
        return any(point.seconds is not None for point in self.points)

    def prediction(self, point: Point) -> float | None:
        """GFLOP/s that a model of the machine gives for a point; None without one."""
        key = point.kernel, point.variant, str(point.batch_size), str(point.input_size)
        return self.predicted.get(key)

    def place(self, point: Point, source: str | None = None) -> Placed:
        """A point under this machine's roofs.

        Args:
            point: one of the panel's.
            source: of the traffic; the most trusted if None.
        """
        chosen = source or point.bytes_source
        least, limit = self.roofs.least(point.flops, point.traffic[chosen])
        bound = point.flops / least / 1e9
        return Placed(
            point, chosen, point.intensities(chosen), bound, limit,
            bound if point.gflops is None else point.gflops,
            None if point.seconds is None else 100 * least / point.seconds,
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

    def entries(self, variants: Sequence[str] = ()) -> list[Entry]:
        """The kernels' variants that are drawn: those that are chosen, and what is predicted."""
        found = list(self.computing(variants).items())
        for panel in self.panels:
            if not panel.measured and not variants:
                known = {(p.kernel, p.variant) for p in panel.points if panel.prediction(p)}
                found += sorted(known - set(found))
        return sorted(found, key=lambda entry: (GROUPS.index(group(*entry)), entry))

    def computing(self, variants: Sequence[str] = ()) -> dict[str, str]:
        """Those that are chosen and have operations: the others stand on no roofline."""
        busy = {p.kernel for panel in self.panels for p in panel.points if p.flops}
        return {kernel: name for kernel, name in self.chosen(variants).items() if kernel in busy}


def _fastest(points: Sequence[Point]) -> str:
    times: dict[str, dict[int, float]] = {}
    for p in points:
        if p.seconds:
            # Variants execute different numbers of operations: compared are their times.
            times.setdefault(p.variant, {})[p.batch_size] = p.seconds
    if not times:
        return points[0].variant
    common = set.intersection(*(set(own) for own in times.values()))
    if not common:
        return next(iter(times))
    return min(times, key=lambda name: times[name][max(common)])


def analyse(
    path: Path, roofs: Mapping[tuple[str, int], Roofs], *, threads: int = 1,
    input_size: int | None = None, predictions: Mapping[Key, float] | None = None,
) -> Study:  # fmt: skip
    """Read a table and put its points under roofs.

    Args:
        path: ``roofline.csv``.
        roofs: by machine and number of cores. Measured points stand under the roofs of as many
            cores as they had threads; bounds of a machine that was not at hand under those of all
            its cores.
        threads: of the points.
        input_size: rows of an image; the most frequent one if None.
        predictions: see `plots.roofline.predictions.load`.

    Raises:
        UserError: if no point can be placed.
        InputError: if it is no such table, or a cell holds no number.
    """
    _, rows = read_cells(path, COLUMNS, SCHEMA_VERSION)
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
        own = latest([row for row in kept if row["machine"] == machine])
        found = points(path, own)
        roof = _over(machine, roofs, threads, any(p.seconds is not None for p in found))
        if roof is None:
            notes.append(f"no roofs of {machine}: `python -m kernels ceilings` on it, or "
                         "`python -m kernels machines --out` writes them")  # fmt: skip
        elif found:
            rates = of_machine(predictions or {}, machine, roof.cores)
            panels.append(Panel(machine, roof, tuple(found), rates))
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
