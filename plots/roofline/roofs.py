"""The roofs of machines, from ``ceilings.csv`` (measured) and ``machines.csv`` (theoretical).

A roof bounds performance: the smaller of a peak and intensity times bandwidth (S. Williams, A.
Waterman, D. Patterson, "Roofline", CACM 52(4), 2009), here for every level of memory (hierarchical
roofline: C. Yang and others, "Hierarchical Roofline Analysis for GPUs", CCPE 32(20), 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.tables.table import read_cells

SCHEMA_VERSION = 1
LEVELS = ("L1", "L2", "L3", "L4", "DRAM")
FMA = "FMA"
#: The clock at which machines that are not here are drawn; peaks of the others are named.
CLOCK = "base"

CEILING_COLUMNS = (
    "run", "machine", "isa", "threads", "level", "kind", "gflops", "gbytes_per_second", "source"
)  # fmt: skip
KERNEL_COLUMNS = ("kernel", "machine", "isa", "seconds")
MACHINE_COLUMNS = (
    "machine", "title", "extent", "cores", "clock", "ghz", "level", "kind", "gflops",
    "gbytes_per_second", "source",
)  # fmt: skip

Row = Mapping[str, str]


@dataclass(frozen=True)
class Roofs:
    """What bounds some cores of a machine.

    Attributes:
        title: the machine's name in words.
        cores: busy ones.
        peak: GFLOP/s.
        peak_name: in words.
        bandwidth: GB/s of each level that there is.
        others: further ceilings of computing, by name, GFLOP/s: drawn, but no bound is taken of
            them.
        source: "measured" or "theoretical".
    """

    title: str
    cores: int
    peak: float
    peak_name: str
    bandwidth: Mapping[str, float]
    others: Mapping[str, float]
    source: str

    def least(self, flops: float, traffic: Mapping[str, float]) -> tuple[float, str]:
        """The least seconds that a kernel can take, and what bounds it: a level, or `FMA`.

        Args:
            flops: of the kernel.
            traffic: its bytes at each level; levels without a roof bound nothing.
        """
        roofs = [
            (size / self.bandwidth[level] / 1e9, level)
            for level, size in traffic.items()
            if level in self.bandwidth
        ]
        return max([*roofs, (flops / self.peak / 1e9, FMA)], key=lambda roof: roof[0])


def load(
    table: Path, ceilings: Path | None = None, machines: Path | None = None
) -> dict[tuple[str, int], Roofs]:
    """All roofs that are known, by machine and number of cores.

    Measured ones are of the instruction set with which the machine's kernels were timed: what
    validates predictions measures those of AVX2, too.

    Args:
        table: of kernels, beside which the other two stand, if they are not named.
        ceilings: measured roofs.
        machines: theoretical roofs.

    Raises:
        InputError: if a table that was named is absent, or one is no such table.
    """
    found: dict[tuple[str, int], Roofs] = {}
    _, kernels = read_cells(table, KERNEL_COLUMNS, SCHEMA_VERSION)
    isas = {row["machine"]: row["isa"] for row in kernels if row["seconds"]}
    for path, name, read in (
        (machines, "machines", theoretical),
        (ceilings, "ceilings", lambda path: measured(path, isas)),
    ):
        place = path or table.with_name(f"{name}.csv")
        if path is not None and not place.is_file():
            raise InputError(place, f"no such table; `python -m kernels {name}` writes it")
        if place.is_file():
            found |= read(place)
    return found


def measured(path: Path, isas: Mapping[str, str]) -> dict[tuple[str, int], Roofs]:
    """The roofs of the latest run of each machine and number of threads.

    Of the instruction set that ``isas`` has for the machine; of any where it has none.

    A roof is the best sample, as STREAM's is: what disturbs a sample only ever lowers it. Of a
    level's bandwidths it is the larger of reading's and the triad's.

    Raises:
        InputError: if it is no such table.
    """
    _, rows = read_cells(path, CEILING_COLUMNS, SCHEMA_VERSION)
    groups: dict[tuple[str, int], dict[str, list[Row]]] = {}
    for row in rows:
        isa = isas.get(row["machine"], row["isa"])
        if row["source"] == "measured" and row["isa"] == isa:
            runs = groups.setdefault((row["machine"], int(row["threads"])), {})
            runs.setdefault(row["run"], []).append(row)
    found = {}
    for (machine, threads), runs in groups.items():
        best = _best(runs[max(runs)])
        peak = best.pop((FMA, "fma"), None)
        bandwidth = {
            level: max(rate for (of, kind), rate in best.items() if of == level)
            for level in LEVELS
            if any(of == level for of, _ in best)
        }
        if peak is None or not bandwidth:
            continue
        product = best.get((FMA, "sgemm"))
        others = {"NumPy's sgemm": product} if product else {}
        found[machine, threads] = Roofs(
            machine, threads, peak, "FMA peak", bandwidth, others, "measured"
        )
    return found


def _best(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    best: dict[tuple[str, str], float] = {}
    for row in rows:
        if row["kind"] == "triad_nontemporal":  # kernels' stores go through the caches
            continue
        rate = float(row["gflops"] or row["gbytes_per_second"])
        key = row["level"], row["kind"]
        best[key] = max(rate, best.get(key, rate))
    return best


def theoretical(path: Path) -> dict[tuple[str, int], Roofs]:
    """The roofs of each machine and number of cores, at the base clock.

    Raises:
        InputError: if it is no such table.
    """
    _, rows = read_cells(path, MACHINE_COLUMNS, SCHEMA_VERSION)
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row["source"] == "theoretical":
            groups.setdefault((row["machine"], int(row["cores"])), []).append(row)
    found = {}
    for key, group in groups.items():
        own = [row for row in group if row["clock"] == CLOCK]
        peaks = [row for row in own if row["kind"] == "fma"]
        bandwidth = {
            row["level"]: float(row["gbytes_per_second"])
            for row in own
            if row["kind"] == "bandwidth"
        }
        if not peaks or not bandwidth:
            continue
        peak = peaks[0]
        others = {
            _name(row): float(row["gflops"])
            for row in group
            if row["level"] == FMA and row is not peak and _drawn(row)
        }
        found[key] = Roofs(
            peak["title"], key[1], float(peak["gflops"]), _name(peak), bandwidth, others,
            "theoretical",
        )  # fmt: skip
    return found


def _drawn(row: Row) -> bool:
    return row["kind"] == "fma" or row["clock"] == CLOCK


def _name(row: Row) -> str:
    words = "FMA peak" if row["kind"] == "fma" else "without FMA"
    return f"{words} at {float(row['ghz']):g} GHz ({row['clock']})"
