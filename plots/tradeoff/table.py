"""Speed-up and robust accuracy of every strategy and number of processes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UserError
from harness.tables.statistics import Summary
from plots.shared.facets import Facet, split
from plots.shared.observations import Selection
from plots.shared.speedup import (
    ACCURACY,
    Point,
    baseline_of,
    cells_of,
    compare,
    robust_accuracy,
)


@dataclass(frozen=True, eq=False)
class Mark:
    """A strategy on some processes.

    Attributes:
        point: its speed-up over the sequential baseline.
        accuracy: robust accuracy (a fraction): the median over seeds, and its interval; of one
            seed, over launches.
        seeds: how many there are.
    """

    point: Point
    accuracy: Summary
    seeds: int

    @property
    def is_baseline(self) -> bool:
        """Whether others are compared with it."""
        return self.point.cell is self.point.baseline


@dataclass(frozen=True, eq=False)
class Panel:
    """Marks of one configuration; ``baselines`` are those of sequential training among them."""

    facet: Facet
    marks: tuple[Mark, ...]
    notes: tuple[str, ...]

    @property
    def baselines(self) -> list[Mark]:
        """The marks that others are compared with."""
        return [mark for mark in self.marks if mark.is_baseline]

    def baseline_of(self, mark: Mark) -> Mark | None:
        """What a mark is compared with; None if its accuracy is unknown."""
        return next((m for m in self.marks if m.point.cell is mark.point.baseline), None)

    @property
    def front(self) -> list[Mark]:
        """The marks that no other surpasses in one of the two and equals in the other.

        Of the estimates, whatever their intervals; a source is compared with itself.
        """
        return [mark for mark in self.marks if not any(_beats(o, mark) for o in self.marks)]


@dataclass(frozen=True, eq=False)
class Tradeoff:
    """The whole study."""

    selection: Selection
    panels: tuple[Panel, ...]

    @property
    def marks(self) -> list[Mark]:
        """Of all panels."""
        return [mark for panel in self.panels for mark in panel.marks]

    @property
    def images(self) -> set[int]:
        """Test images behind the accuracies; empty if the table does not tell."""
        rows = (row for mark in self.marks for row in mark.point.cell.rows)
        return {int(n) for row in rows if (n := row.get("evaluation_images")) is not None}


def analyse(selection: Selection) -> Tradeoff:
    """Compare times, and summarise accuracies.

    Raises:
        UserError: if the table holds no robust accuracies of strategies and a baseline, or is of
            weak or of throughput scaling.
    """
    path, columns = selection.path, selection.rows[0]
    for name in ("strategy", ACCURACY):
        if name not in columns:
            raise UserError(f"{path}: has no column '{name}'; expected a study of strategies that "
                            "measured robust accuracy")  # fmt: skip
    if "definition" in columns:
        raise UserError(f"{path}: is a weak-scaling study, whose problems differ with the "
                        "processes; expected one of strong scaling")  # fmt: skip
    if selection.rate:
        raise UserError(f"{path}: is a throughput-scaling study, whose points may train for "
                        "different lengths, so that their accuracies tell nothing of each other; "
                        "expected one of strong scaling")  # fmt: skip
    if all(row[ACCURACY] is None for row in selection.rows):
        raise UserError(f"{path}: no row to draw has a robust_accuracy; emulated and simulated "
                        "trainings have none")  # fmt: skip
    facets, _ = split(selection, "strong")
    panels = tuple(panel for facet in facets if (panel := _panel(facet)).marks)
    if not panels:
        raise UserError(f"{path}: no baseline for a speed-up: expected rows of the strategy "
                        "sequential on 1 process with 1 thread")  # fmt: skip
    return Tradeoff(selection, panels)


def _panel(facet: Facet) -> Panel:
    cells, marks, notes = cells_of(facet.rows), [], []
    unknown: dict[str, int] = {}
    for cell in cells:
        baseline, found = baseline_of(cell, cells), robust_accuracy(cell)
        if found is None:
            unknown[cell.source] = unknown.get(cell.source, 0) + 1
        elif baseline is None:
            notes.append(f"{cell.strategy} on {cell.processes} processes ({cell.source}) left out: "
                         "no T₁")  # fmt: skip
        else:
            marks.append(Mark(compare(cell, baseline), *found))
    notes += [
        f"left out, since without a robust accuracy: {count} {source} points"
        for source, count in unknown.items()
    ]
    own = {m.point.cell.strategy for m in marks if m.point.baseline.strategy != "sequential"}
    notes += [f"T₁ of {name} is its own run on 1 process" for name in sorted(own)]
    return Panel(facet, tuple(marks), tuple(notes))


def _beats(one: Mark, other: Mark) -> bool:
    mine = (one.point.speedup, one.accuracy.median)
    its = (other.point.speedup, other.accuracy.median)
    same = one.point.cell.source == other.point.cell.source
    return same and mine != its and mine[0] >= its[0] and mine[1] >= its[1]
