"""Virtual executions beside the original study's own accuracies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from harness.errors import InputError
from harness.tables.table import read_rows
from plots.shared.observations import Row
from plots.shared.reference import FILE as SCALING
from plots.shared.reference import find

STALENESS = "staleness.csv"
COLUMNS = (
    "source", "processes", "seed", "machine", "dataset", "images", "epochs", "receive_interval",
    "study_partial_batches", "flow", "robust_accuracy", "staleness_mean", "seconds",
)  # fmt: skip
REFERENCE = ("processes", "epochs", "robust_accuracy")
DETAILS = ("point", "seed", "update", "robust_accuracy")


@dataclass(frozen=True)
class Group:
    """Seeds of one point.

    Attributes:
        processes, epochs, interval: of the point.
        defect: whether it trains on whole receive buffers, as the study did.
        flow: how weights travel, in the words of `experiments.virtual`.
        accuracies: robust accuracy by the study's metric, of each seed.
        staleness, seconds: means over seeds: of batches in updates, and of simulated seconds.
    """

    processes: int
    epochs: int
    interval: int
    defect: bool
    flow: str
    accuracies: tuple[float, ...]
    staleness: float
    seconds: float

    @property
    def mean(self) -> float:
        """Mean accuracy over seeds."""
        return fmean(self.accuracies)


@dataclass(frozen=True)
class Curve:
    """Accuracy as one run went on.

    Attributes:
        processes, defect, seed: of the run.
        points: pairs of updates done and accuracy.
    """

    processes: int
    defect: bool
    seed: int
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Virtual:
    """One table, and the study's accuracies for the same number of epochs.

    Attributes:
        path: the table, which names the figure.
        dataset: with the number of images, if not all were trained on.
        groups: of the table.
        measured: the study's accuracy by (processes, epochs, receive interval).
        curves: of runs of one epoch that were looked at on the way.
    """

    path: Path
    dataset: str
    groups: tuple[Group, ...]
    measured: dict[tuple[int, int, int], float]
    curves: tuple[Curve, ...] = ()

    def scaling(self) -> list[Group]:
        """One epoch with a look at every step: what is drawn over processes."""
        return [g for g in self.groups if g.epochs == 1 and g.interval == 1]

    def intervals(self) -> list[Group]:
        """Several epochs on the most processes: what is drawn over receive intervals."""
        several = [g for g in self.groups if g.epochs > 1]
        most = max((g.processes for g in several), default=0)
        return [g for g in several if g.processes == most]


def analyse(path: Path, reference: Path | None = None) -> Virtual:
    """Read a table of virtual executions.

    Args:
        path: ``results/virtual.csv``.
        reference: the folder of the study's own rows; None: the project's.

    Raises:
        InputError: if it lacks a column, or has several data sets or machines.
    """
    rows = read_rows(path, COLUMNS)
    if not rows:
        raise InputError(path, "no rows; expected a table of `python -m experiments.virtual`")
    for column in ("machine", "dataset", "images"):
        if len(found := {row[column] for row in rows}) > 1:
            raise InputError(
                path, f"column '{column}': expected one value, found {sorted(map(str, found))}"
            )
    images = int(rows[0]["images"] or 0)
    name = str(rows[0]["dataset"]) + (f", first {images:,} images" if images else "")
    keys = ("processes", "epochs", "receive_interval", "study_partial_batches", "flow")
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    made = [_group(members) for members in groups.values()]
    made.sort(key=lambda g: (g.epochs, g.flow, g.defect, g.processes, g.interval))
    return Virtual(path, name, tuple(made), _measured(path, reference), _curves(path, rows))


def _group(rows: Sequence[Row]) -> Group:
    one = rows[0]
    return Group(
        int(one["processes"]), int(one["epochs"]), int(one["receive_interval"]),
        str(one["study_partial_batches"]).lower() == "true", str(one["flow"] or ""),
        tuple(float(row["robust_accuracy"]) for row in rows),
        fmean(float(row["staleness_mean"]) for row in rows),
        fmean(float(row["seconds"]) for row in rows),
    )  # fmt: skip


def _curves(path: Path, rows: Sequence[Row]) -> tuple[Curve, ...]:
    """From the table of details beside the table, where there is one."""
    details = path.with_suffix(".details.csv")
    if not details.is_file():
        return ()
    runs = {(row["point"], int(row["seed"])): row for row in rows if int(row["epochs"]) == 1}
    found: dict[tuple[object, int], dict[int, float]] = {}
    for row in read_rows(details, DETAILS):
        key = (row["point"], int(row["seed"]))
        if key in runs:
            found.setdefault(key, {})[int(row["update"])] = float(row["robust_accuracy"])
    curves = [
        Curve(
            int(runs[key]["processes"]),
            str(runs[key]["study_partial_batches"]).lower() == "true",
            key[1], tuple(sorted(points.items())),
        )
        for key, points in found.items()
    ]  # fmt: skip
    return tuple(sorted(curves, key=lambda c: (c.processes, c.defect, c.seed)))


def _measured(path: Path, reference: Path | None) -> dict[tuple[int, int, int], float]:
    folder = find(path, reference)
    found: dict[tuple[int, int, int], float] = {}
    if folder is None:
        return found
    for row in read_rows(folder / SCALING, REFERENCE):
        found[int(row["processes"]), int(row["epochs"]), 1] = float(row["robust_accuracy"])
    if (folder / STALENESS).is_file():
        for row in read_rows(folder / STALENESS, (*REFERENCE, "receive_interval_steps")):
            key = int(row["processes"]), int(row["epochs"]), int(row["receive_interval_steps"])
            found[key] = float(row["robust_accuracy"])
    return found


def flows(groups: Iterable[Group]) -> list[tuple[str, bool]]:
    """The lines of a panel: pairs of flow and defect, in order."""
    return list(dict.fromkeys((g.flow, g.defect) for g in groups if g.processes > 1))
