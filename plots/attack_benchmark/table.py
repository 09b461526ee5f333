"""How fast attacks and training are, by library: medians, intervals, and ratios to our fastest.

Ratios are of times in the same round, in which every competitor ran once: what slows the machine
for a while slows all of them. Their median and its interval need no model of the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.errors import InputError, UserError
from harness.tables.statistics import Summary, summarize
from harness.tables.table import read_rows
from plots.shared.observations import Row

#: The newest version of its table that can be drawn.
SCHEMA_VERSION = 3
#: Columns without which a table is not this benchmark's.
COLUMNS = (
    "schema_version", "run", "network", "dataset", "task", "competitor", "version", "batch_size",
    "threads", "steps", "round", "seconds", "status", "message", "first_call_seconds", "cpu",
    "cores", "torch_version", "started_at",
)  # fmt: skip

#: Competitors in order, with the names that are shown; others follow under their own.
NAMES = {
    "fused": "Sparring, fused",
    "sparring": "Sparring, PyTorch",
    "plain": "plain PyTorch",
    "compile": "torch.compile",
    "torchattacks": "torchattacks",
    "foolbox": "Foolbox",
    "art": "ART",
}
#: Whom the others are compared with: the first of these that was measured.
BASES = ("fused", "sparring")
#: The tasks in order.
ATTACK = "attack"
TASKS = (ATTACK, "update", "iteration")


@dataclass(frozen=True, eq=False)
class Cell:
    """One competitor at one batch size.

    Attributes:
        competitor: its name in the table.
        batch_size: images at a time.
        work: what a rate counts: image-steps of an attack, images of other tasks.
        rows: the timed repetitions.
        base: those of the competitor that it is compared with.
        trouble: why there are none, or why they are fewer; empty if nothing failed.
    """

    competitor: str
    batch_size: int
    work: int
    rows: tuple[Row, ...]
    base: tuple[Row, ...]
    trouble: str

    @cached_property
    def rate(self) -> Summary | None:
        """Work per second, or None if nothing was measured."""
        rates = [self.work / float(row["seconds"]) for row in self.rows]
        return summarize(rates) if rates else None

    @cached_property
    def seconds(self) -> Summary | None:
        """Seconds of the task, or None if nothing was measured."""
        return summarize([float(row["seconds"]) for row in self.rows]) if self.rows else None

    @cached_property
    def ratio(self) -> Summary | None:
        """Its time over the base's in the same round, or None if there is no common round."""
        base = {int(row["round"]): float(row["seconds"]) for row in self.base}
        pairs = [(float(r["seconds"]), base.get(int(r["round"]))) for r in self.rows]
        ratios = [own / other for own, other in pairs if other]
        return summarize(ratios) if ratios else None


@dataclass(frozen=True)
class Panel:
    """All cells with the same task, threads and steps, by competitor and batch size."""

    task: str
    threads: int
    steps: int
    cells: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """The panel in words, without its task."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{threads}, {self.steps} steps" if self.steps else threads


@dataclass(frozen=True)
class Benchmark:
    """One run of the benchmark.

    Attributes:
        path: the table.
        run: the run.
        base: whom the others are compared with, or None.
        panels: by task, threads, then steps.
        rows: all rows of the run.
        left_out: rows of other runs.
    """

    path: Path
    run: str
    base: str | None
    panels: tuple[Panel, ...]
    rows: tuple[Row, ...]
    left_out: int

    @property
    def competitors(self) -> list[str]:
        """Those that were measured, in order."""
        return _ordered({str(row["competitor"]) for row in self.rows if row["status"] == "ok"})

    @property
    def weights(self) -> str:
        """Of the network: "initial" or "trained"; older tables do not tell, and were trained."""
        return str(self.rows[0].get("weights") or "trained")

    def of(self, *tasks: str) -> Benchmark:
        """What was found of these tasks; the base stays that of the whole run."""
        return replace(
            self, panels=tuple(panel for panel in self.panels if panel.task in tasks),
            rows=tuple(row for row in self.rows if str(row["task"]) in tasks),
        )  # fmt: skip


def analyse(path: Path, run: str | None = None) -> Benchmark:
    """One run of the table: the one that began last, or the one whose name begins so.

    Raises:
        UserError: if it is no table of the benchmark, or has no such run.
    """
    everything = read_rows(path, COLUMNS, SCHEMA_VERSION)
    if not everything:
        raise InputError(path, "has no rows; expected at least one")
    began: dict[str, str] = {}
    for row in everything:
        began.setdefault(str(row["run"]), str(row["started_at"]))
    found = [name for name in began if name.startswith(run or "")]
    if not found or (run and len(found) > 1):
        raise UserError(f"{path}: '{run}' begins {len(found) or 'none'} of the runs "
                        f"{', '.join(began)}; expected one")  # fmt: skip
    chosen = max(found, key=lambda name: began[name])
    rows = tuple(row for row in everything if str(row["run"]) == chosen)
    measured = {str(row["competitor"]) for row in rows if row["status"] == "ok"}
    if not measured:
        raise UserError(f"{path}: run {chosen} measured nothing; its column 'message' tells why")
    base = next((name for name in BASES if name in measured), None)
    groups: dict[tuple[int, str, int, int], list[Row]] = {}
    for row in rows:
        task = str(row["task"])
        place = TASKS.index(task) if task in TASKS else len(TASKS)
        key = (place, task, int(row["threads"]), int(row["steps"]))
        groups.setdefault(key, []).append(row)
    panels = tuple(Panel(*key[1:], _cells(groups[key], base)) for key in sorted(groups))
    return Benchmark(path, chosen, base, panels, rows, len(everything) - len(rows))


def _cells(rows: Sequence[Row], base: str | None) -> tuple[Cell, ...]:
    steps = int(rows[0]["steps"]) if rows[0]["task"] == ATTACK else 1
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((int(row["batch_size"]), str(row["competitor"])), []).append(row)

    def timed(batch_size: int, name: str | None) -> tuple[Row, ...]:
        own = groups.get((batch_size, name), []) if name else []
        return tuple(row for row in own if row["status"] == "ok")

    def trouble(batch_size: int, name: str) -> str:
        own = groups[batch_size, name]
        return next((f"{r['status']}: {r['message']}" for r in own if r["status"] != "ok"), "")

    return tuple(
        Cell(name, size, size * steps, timed(size, name), timed(size, base), trouble(size, name))
        for size in sorted({size for size, _ in groups})
        for name in _ordered({name for batch, name in groups if batch == size})
    )


def _ordered(names: set[str]) -> list[str]:
    return [name for name in NAMES if name in names] + sorted(names - set(NAMES))
