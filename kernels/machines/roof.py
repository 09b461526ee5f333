"""The roofs over a kernel, from the table of ceilings.

Source: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009: what a kernel attains is at
most the smaller of the peak and its intensity times the bandwidth. As in hierarchical rooflines
(A. Ilic, F. Pratas and L. Sousa, "Cache-aware Roofline Model", IEEE CAL 13(1), 2014), the bandwidth
is that of the level where the kernel's working set lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import median


@dataclass(frozen=True)
class Roof:
    """What one number of threads of a machine can attain.

    A roof is a bound, so each number is the best of all samples, as STREAM's is: what disturbs a
    sample only ever lowers it.

    Attributes:
        peak: float32 operations, GFLOP/s.
        bandwidth: GB/s of each level: the larger of reading's and the triad's.
        capacity: bytes of each cache, nearest first.
        spread: by level ("FMA" for the peak), how far the true roof may lie above the number,
            relative to it; empty of theoretical roofs.
    """

    peak: float
    bandwidth: Mapping[str, float]
    capacity: Mapping[str, int]
    spread: Mapping[str, float] = field(default_factory=dict)

    def level(self, working_set: float) -> str:
        """The smallest level that holds so many bytes."""
        return next(
            (
                name
                for name, size in self.capacity.items()
                if working_set <= size and name in self.bandwidth
            ),
            "DRAM",
        )

    def seconds(self, flops: float, size: float, level: str) -> float:
        """The least time that a kernel of so many operations and bytes takes."""
        return max(flops / self.peak, size / self.bandwidth[level]) / 1e9

    def gflops(self, intensity: float, level: str) -> float:
        """GFLOP/s at an arithmetic intensity in FLOP per byte."""
        return min(self.peak, intensity * self.bandwidth[level])


def _rate(best: Mapping[tuple[str, str], float], level: str, kind: str) -> float:
    return best.get((level, kind), 0.0)


def roof(
    rows: Iterable[Mapping[str, str]],
    machine: str,
    isa: str,
    threads: int,
    capacities: Mapping[str, Mapping[str, int]],
) -> Roof | None:
    """The roof of the latest run whose rows cover the levels; None if there is none.

    Its spread is as far above the best sample as the median of the samples lies below it.

    Args:
        rows: of ``ceilings.csv``, oldest first.
        machine: the processor's model.
        isa: instruction set that was measured with.
        threads: number of threads.
        capacities: by the run, bytes of each cache; others' rows are left out.
    """
    wanted = (machine, isa, str(threads))
    runs: dict[str, dict[tuple[str, str], list[float]]] = {}
    for row in rows:
        if (row["machine"], row["isa"], row["threads"]) == wanted and row["source"] == "measured":
            rates = runs.setdefault(row["run"], {})
            rate = float(row["gflops"] or row["gbytes_per_second"])
            rates.setdefault((row["level"], row["kind"]), []).append(rate)
    for name, run in reversed(list(runs.items())):
        best = {key: max(values) for key, values in run.items()}
        kinds = {
            level: max(("read", "triad"), key=partial(_rate, best, level))
            for level, kind in best
            if kind == "read"
        }
        if ("FMA", "fma") in best and "DRAM" in kinds and name in capacities:
            chosen = {"FMA": "fma", **kinds}
            return Roof(
                best["FMA", "fma"],
                {level: best[level, kind] for level, kind in kinds.items()},
                dict(capacities[name]),
                {k: best[k, v] / median(run[k, v]) - 1 for k, v in chosen.items()},
            )
    return None
