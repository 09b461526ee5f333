"""A scaling study analysed: points with their speed-ups, bounds and fits, per panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import UserError
from harness.tables.table import RANK_COLUMNS, ranks_path, read_rows
from plots.scaling import apriori, fits, laws
from plots.shared import reference
from plots.shared.bootstrap import Floats
from plots.shared.facets import Facet, lengths, split
from plots.shared.observations import SEQUENTIAL, Row, Selection, text
from plots.shared.speedup import Cell, Point, baseline_of, cells_of, compare

#: The serial part of these is not overlapped, so Amdahl's law is about them.
AMDAHL_STRATEGIES = ("data_parallel", "sharded")


@dataclass(frozen=True, eq=False)
class Curve:
    """A bound of the speed-up over p, from what was measured on one process.

    Attributes:
        timed: whether parts of a minibatch cost what they were measured to cost; None of a strategy
            that splits none.
    """

    strategy: str
    p: Floats
    speedup: Floats
    timed: bool | None


@dataclass(frozen=True, eq=False)
class Panel:
    """One facet with everything that is drawn in it.

    Attributes:
        facet: its rows and configuration.
        points: compared cells, the baselines included.
        curves: bounds.
        fits: fitted models, and refusals with their reasons.
        notes: what a reader of the figure must know.
    """

    facet: Facet
    points: tuple[Point, ...]
    curves: tuple[Curve, ...]
    fits: tuple[fits.Fit, ...]
    notes: tuple[str, ...]

    @property
    def drawn(self) -> list[Point]:
        """The points of the figure: a larger problem on one process is no point of its own."""
        return [
            point for point in self.points
            if point.cell.size in (None, point.cell.processes)
        ]  # fmt: skip

    @property
    def baselines(self) -> list[Cell]:
        """The cells that T_1 comes from, in order of size."""
        unique = {point.baseline: None for point in self.points}
        return sorted(unique, key=lambda cell: (cell.size or 0, cell.strategy, cell.source))


@dataclass(frozen=True, eq=False)
class Analysis:
    """All panels of a study.

    Attributes:
        kind: strong, weak or throughput.
        largest: the right end of the axis, in processes (a power of two, 32 at least).
        metric: the rate that points are compared by; their "seconds" are then its inverse.
    """

    selection: Selection
    kind: str
    panels: tuple[Panel, ...]
    reference: reference.Reference | None
    notes: tuple[str, ...]
    largest: int
    metric: str = ""

    @property
    def is_training(self) -> bool:
        """Whether the table is about training with adversaries, as the original study was."""
        return {"strategy", "adversary_steps"} <= set(self.selection.rows[0])


def analyse(
    selection: Selection, kind: str = "auto", folder: Path | None = None, metric: str = ""
) -> Analysis:
    """Compare, predict and fit.

    Args:
        selection: the rows.
        kind: strong, weak, throughput, or auto (weak if a row tells a ``definition``).
        folder: holds the reference points; None looks for it.
        metric: of throughput scaling, the rate (`plots.scaling.rates.costs`).

    Raises:
        UserError: if there is no baseline, or the table lacks what the kind needs.
    """
    columns = set(selection.rows[0])
    # A table of simulated points has the column whatever they are of.
    defined = any(row.get("definition") is not None for row in selection.rows)
    if kind == "auto":
        kind = "weak" if defined else "strong"
    if kind == "weak" and defined and "size" not in columns:
        raise UserError(f"{selection.path}: weak scaling with a column 'definition' expects a "
                        "column 'size', the processes that a problem is sized for")  # fmt: skip
    facets, derived = split(selection, kind)
    ranks, notes = _read_ranks(selection)
    if kind == "weak" and not defined:
        notes.append("classical weak scaling assumed: S = p T(1) / T(p)")
    notes += lengths(selection.rows, kind)
    known = [Path(str(row["calibration"])) for row in selection.rows if row.get("calibration")]
    calibrations = sorted({path.name for path in known})
    if calibrations:
        notes.append(f"emulated with the calibration {', '.join(calibrations)}")
    if derived and kind != "weak":
        notes.append("settings that go with a strategy, and set no panels apart: "
                     + ", ".join(derived))  # fmt: skip
    cells = [cell for facet in facets for cell in cells_of(facet.rows, kind == "weak")]
    largest = max(32, 2 ** int(np.ceil(np.log2(max(cell.cores for cell in cells)))))
    panels = tuple(_panel(facet, kind, ranks, largest) for facet in facets)
    if not any(panel.points for panel in panels):
        raise UserError(f"{selection.path}: no baseline for a speed-up: expected rows of the "
                        "strategy sequential, or else of each strategy's own, on 1 process with "
                        "1 thread")  # fmt: skip
    panels = tuple(panel for panel in panels if panel.points)
    analysis = Analysis(selection, kind, panels, None, tuple(notes), largest, metric)
    place = reference.find(selection.path, folder) if kind == "strong" else None
    if place is None or not analysis.is_training:
        return analysis
    return Analysis(selection, kind, panels, reference.load(place), tuple(notes), largest)


def _read_ranks(selection: Selection) -> tuple[Mapping[apriori.Key, list[Row]], list[str]]:
    path = ranks_path(selection.path.parent, selection.study)
    if not any(row.get("strategy") == SEQUENTIAL for row in selection.rows):
        return {}, []
    if not path.is_file():
        return {}, [f"no bounds: {path.name} is absent"]
    return apriori.ranks_by_repetition(read_rows(path, RANK_COLUMNS)), []


def _panel(facet: Facet, kind: str, ranks: Mapping[apriori.Key, list[Row]], largest: int) -> Panel:
    cells, points, notes = cells_of(facet.rows, kind == "weak"), [], []
    for cell in cells:
        if cell.size is not None and cell.size != cell.processes > 1:
            notes.append(f"{cell.strategy} on {cell.processes} processes left out: its problem is "
                         f"sized for {cell.size}")  # fmt: skip
            continue
        baseline = baseline_of(cell, cells)
        if baseline is None:
            notes.append(f"{cell.strategy} on {cell.processes} processes ({cell.source}) left out: "
                         "no T₁")  # fmt: skip
            continue
        assumed = kind == "weak" and cell.size is None
        points.append(compare(cell, baseline, float(cell.processes) if assumed else 1.0))
    own = {p.cell.strategy for p in points if p.baseline.strategy != SEQUENTIAL}
    notes += [f"T₁ of {name} is its own run on 1 process" for name in sorted(own)]
    borrowed = {p.cell.source for p in points if p.cell.source != p.baseline.source}
    notes += [f"T₁ of {name} points is a measured one" for name in sorted(borrowed)]
    limited = sum(point.cell.limited for point in points)
    if limited:
        notes.append(f"{limited} emulated points, crossed out, are limited by the emulation: their "
                     "messages took over a fifth of this machine's CPU time; no law is fitted to "
                     "them")  # fmt: skip
    curves, missing = _curves(facet, kind, cells, ranks, largest)
    return Panel(facet, tuple(points), curves, tuple(_fits(kind, points)), (*notes, *missing))


def _curves(
    facet: Facet, kind: str, cells: Sequence[Cell], ranks: Mapping[apriori.Key, list[Row]],
    largest: int,
) -> tuple[tuple[Curve, ...], list[str]]:  # fmt: skip
    """Bounds of the strategies in this facet (of all, if it has only a baseline)."""
    if kind == "throughput":  # bounds are of times
        return (), []
    sequential = [cell for cell in cells if cell.strategy == SEQUENTIAL and cell.cores == 1]
    measured = [cell for cell in sequential if cell.source == "measured"] or sequential
    phases = {
        cell.size or 1: found
        for cell in measured
        if (found := apriori.measure_phases(cell, ranks)) is not None
    }
    if not phases:
        return (), ["no bounds: no phase times on one process"] if ranks else []
    named = {cell.strategy for cell in cells}
    present = [name for name in apriori.BOUNDS if name in named]
    if not present and any(row.get("variant") for row in facet.rows):
        return (), []  # bounds are those of plain strategies, not of their variants
    curves, missing = [], []
    grid = np.geomspace(1.0, largest, 321)
    if kind == "weak":
        at = apriori.scaled_phases(facet.definition or "classical", phases)
    seconds = measured[0].seconds.median
    for name in present or apriori.BOUNDS:
        pairs = []
        for p in (float(value) for value in grid):
            here = at(p) if kind == "weak" else phases[1]
            bound = apriori.BOUNDS[name](here, p)
            work = here.batches * (here.generate + here.update) if kind == "weak" else seconds
            if bound:
                pairs.append((p, work / bound))
        if pairs:
            p_axis, speedup = np.array(pairs).T
            timed = phases[min(phases)].shards is not None if name in apriori.SPLITTING else None
            curves.append(Curve(name, p_axis, speedup, timed))
        elif name in present:
            missing.append(f"no bound of {name}: optimizer_seconds was not measured")
    return tuple(curves), missing


def _fits(kind: str, points: Sequence[Point]) -> list[fits.Fit]:
    series: dict[tuple[str, str, int], list[Point]] = {}
    for point in points:
        # What the emulation itself slows down follows no law of the strategy.
        if point.cell.strategy != SEQUENTIAL and not point.cell.limited:
            key = (point.cell.strategy, point.cell.source, point.cell.threads)
            series.setdefault(key, []).append(point)
    models = laws.WEAK_MODELS if kind == "weak" else laws.STRONG_MODELS
    anchored = any(point.cell is point.baseline and (point.cell.size or 1) == 1 for point in points)
    found = []
    for (strategy, source, threads), members in series.items():
        reason = _not_amdahl(members) if kind != "weak" else None
        if reason:
            distinct = {point.cell.cores for point in members} | {1}
            count = sum(len(point.cell.launches) for point in members)
            found.append(fits.Fit(
                models[0], strategy, source, len(distinct), count, reason, threads=threads
            ))  # fmt: skip
        else:
            found += fits.fit_models(models, members, anchored)
    return found


def _not_amdahl(points: Sequence[Point]) -> str | None:
    rows = points[0].cell.rows
    if rows[0].get("strategy") is None:
        return None
    strategy = text(rows[0]["strategy"])
    if strategy not in AMDAHL_STRATEGIES:
        return f"not fitted: {strategy} overlaps its serial part, see its bound"
    overlapped = any(text(row.get("overlap")) not in ("", "false", "0", "none") for row in rows)
    return "not fitted: overlapped, see its bound" if overlapped else None
