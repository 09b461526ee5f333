"""Attacks by threads x processes: how much work a second, beside one thread of one process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.tables.statistics import Summary, summarize
from harness.tables.table import read_rows
from plots.openmp.table import grouped
from plots.shared.bootstrap import generator, percentile_interval, resampled_medians
from plots.shared.observations import Row

#: Minibatches of an epoch of the study: 60,000 images, 64 at a time.
_STUDY_BATCHES = 938
_INTRA, _STRONG = "intraop.csv", "strong_scaling.csv"


@dataclass(frozen=True)
class Layout:
    """Processes x threads.

    Attributes:
        processes, threads: of each.
        rate: image-steps a second of all processes together.
        speedup, low, high: rate over that of one process with one thread, and its bootstrap
            interval over launches, or None.
    """

    processes: int
    threads: int
    rate: Summary
    speedup: float | None
    low: float | None
    high: float | None

    @property
    def cores(self) -> int:
        """Processes times threads."""
        return self.processes * self.threads


def layouts(rows: Sequence[Row]) -> dict[str, list[Layout]]:
    """By backend, then by cores and processes."""
    return {
        backend: _layouts(backend, own)
        for backend, own in sorted(grouped(rows, lambda row: str(row["method"])).items())
    }


def _layouts(backend: str, rows: Sequence[Row]) -> list[Layout]:
    rates: dict[tuple[int, int], list[float]] = {}
    groups = grouped(
        rows, lambda row: (int(row["processes"]), int(row["threads_per_process"]), row["launch"])
    )
    for (processes, threads, _), members in groups.items():
        own = [float(row["image_steps"]) / float(row["seconds"]) for row in members]
        rates.setdefault((processes, threads), []).append(median(own))
    base, found = rates.get((1, 1)), []
    for (processes, threads), values in rates.items():
        rate, speedup, low, high = summarize(values), None, None, None
        if base:
            speedup = rate.median / median(base)
            if rate.low is not None and (processes, threads) != (1, 1) and len(base) > 5:
                random = generator(backend, processes, threads)
                ratios = resampled_medians(values, random)
                low, high = percentile_interval(ratios / resampled_medians(base, random))
        found.append(Layout(processes, threads, rate, speedup, low, high))
    return sorted(found, key=lambda layout: (layout.cores, layout.processes))


@dataclass(frozen=True)
class Study:
    """What the original study measured on its 32 cores, over its one core.

    Attributes:
        cores: its most.
        threads: speed-up of generating and training on one process with all threads.
        processes: speed-up of its scheme, a thread each.
    """

    cores: int
    threads: float
    processes: float


def study(folder: Path | None, steps: int = 32) -> Study | None:
    """The study's two ends, of so many adversary steps; None if the folder does not tell.

    Raises:
        InputError: if a file lacks a column.
    """
    if folder is None or not all((folder / name).is_file() for name in (_INTRA, _STRONG)):
        return None
    times = ("generate_seconds_per_batch", "train_seconds_per_batch")
    intra = read_rows(folder / _INTRA, ("threads", "adversary_steps", *times))
    strong = read_rows(folder / _STRONG, ("processes", "adversary_steps", "epoch_seconds"))
    epochs = {int(row["processes"]): float(row["epoch_seconds"]) for row in strong}
    whole = next((row for row in intra if row["adversary_steps"] == steps), None)
    if whole is None or 1 not in epochs:
        return None
    batch = sum(float(whole[name]) for name in times)
    most = max(epochs)
    return Study(most, epochs[1] / _STUDY_BATCHES / batch, epochs[1] / epochs[most])
