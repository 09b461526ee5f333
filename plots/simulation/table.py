"""A table of simulations, and the measured and emulated points that belong beside it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.tables.table import read_rows, uncounted
from plots.shared.observations import Row
from plots.shared.reference import FILE

COLUMNS = (
    "source", "processes", "seconds", "variant", "definition", "machine", "calibrated", "speedup",
    "limit",
)  # fmt: skip

#: 60,000 images in minibatches of 64.
STUDY_BATCHES = 938

DEFINITIONS = {"strong": "strong scaling", "classical": "weak scaling, 64 images a process"}


@dataclass(frozen=True)
class Mark:
    """One point.

    Attributes:
        processes: p.
        speedup: T_1 / T_p (scaled speed-up in weak scaling).
        source: which instrument.
        limit: what limits a simulated one.
        limited: whether an emulated one is limited by the emulation.
    """

    processes: int
    speedup: float
    source: str
    limit: str = ""
    limited: bool = False


@dataclass(frozen=True)
class Panel:
    """One machine and one definition; marks by series, ascending."""

    machine: str
    definition: str
    series: dict[str, tuple[Mark, ...]]


@dataclass(frozen=True)
class Epochs:
    """The study's epoch: seconds by processes, by source."""

    measured: dict[int, float]
    simulated: dict[int, float]
    closed: dict[int, float]


@dataclass(frozen=True)
class Simulations:
    """All panels, and the study's epoch if the table has it."""

    path: Path
    panels: tuple[Panel, ...]
    epochs: Epochs | None


def analyse(path: Path, measured: Path | None = None, reference: Path | None = None) -> Simulations:
    """Read a table of simulations.

    Args:
        path: ``results/simulation.csv``.
        measured: a table of strong scaling with measured or emulated rows of the machine whose
            calibration was measured; None takes ``strong_scaling.csv`` beside ``path``, if any.
        reference: the folder of the study's own rows; None: the project's.

    Raises:
        InputError: if a table lacks a column.
    """
    rows = read_rows(path, COLUMNS)
    if not rows:
        raise InputError(path, "has no rows; expected those of `python -m experiments.simulation`")
    beside = measured or path.parent / "strong_scaling.csv"
    others = _others(beside) if beside.is_file() else {}
    panels: dict[tuple[str, str], dict[str, list[Mark]]] = {}
    here = {row["machine"] for row in rows if row["calibrated"] == "measured"}
    for row in rows:
        if row["definition"] in DEFINITIONS:
            series = panels.setdefault((row["machine"], row["definition"]), {})
            mark = Mark(int(row["processes"]), float(row["speedup"]), row["source"], row["limit"])
            series.setdefault(row["variant"], []).append(mark)
    for (machine, definition), series in panels.items():
        if machine in here and definition == "strong":
            for name, marks in others.items():
                series.setdefault(name, []).extend(marks)
    folder = reference or Path(__file__).resolve().parents[2] / "results" / "reference"
    return Simulations(
        path,
        tuple(
            Panel(m, d, {name: tuple(marks) for name, marks in series.items()})
            for (m, d), series in panels.items()
        ),
        _epochs(rows, folder / FILE),
    )


def _others(path: Path) -> dict[str, list[Mark]]:
    """Medians of measured and emulated speed-ups, by strategy."""
    seconds: dict[tuple[str, int, str], list[float]] = {}
    flags: dict[tuple[str, int, str], list[bool]] = {}
    rows = read_rows(path)
    for row, reason in zip(rows, uncounted(rows), strict=True):
        if reason:
            continue
        name = str(row.get("variant") or row.get("strategy"))
        key = (name, int(row["processes"]), str(row["source"]))
        seconds.setdefault(key, []).append(float(row["seconds"]))
        flags.setdefault(key, []).append(str(row.get("emulation_limited")).lower() == "true")
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    marks: dict[str, list[Mark]] = {}
    for (name, processes, source), value in sorted(medians.items()):
        flagged = flags[name, processes, source]
        own = medians.get(("sequential", 1, source)) or medians.get(("sequential", 1, "measured"))
        if name != "sequential" and own:
            marks.setdefault(name, []).append(
                Mark(processes, own / value, source, limited=2 * sum(flagged) > len(flagged))
            )
    return marks


def _epochs(rows: Sequence[Row], path: Path) -> Epochs | None:
    simulated = {
        int(row["processes"]): float(row["seconds"]) for row in rows if row["definition"] == "study"
    }
    if not simulated or not path.is_file():
        return None
    own = read_rows(path, ("processes", "epoch_seconds"))
    measured = {int(row["processes"]): float(row["epoch_seconds"]) for row in own}
    one = next(row for row in own if int(row["processes"]) == 1)
    generate = float(one["generate_seconds_per_batch"])
    update = float(one["train_seconds_per_batch"])
    closed = {p: STUDY_BATCHES * max(update, generate / (p - 1)) for p in measured if p > 1}
    return Epochs(measured, simulated, closed)
