"""Roofs over some cores of a machine: of this one as measured, of another one as described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from kernels.machines import ceilings
from kernels.machines.caches import Cache, caches, cores
from kernels.machines.machine import Machine
from kernels.machines.roof import Roof, roof
from kernels.table import Row, Table
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused.machine import Isa

#: So many times the peak are no accident of measuring.
DOUBTFUL = 1.03


def measured(rows: Iterable[Mapping[str, str]], threads: int, isa: Isa) -> Roof | None:
    """This machine's, over so many threads, each with a core; None if it was not measured.

    Args:
        rows: of ``ceilings.csv``.
        threads: their private caches together hold so many times as much.
        isa: instruction set that was measured with.
    """
    cpus = cores()
    busy = cpus[:threads]
    reached = [
        Cache(
            cache.level,
            cache.bytes * -(-len(busy) // max(1, len(cache.cpus.intersection(busy)))),
            cache.cpus,
        )
        for cache in caches(cpus[0])
    ]
    return roof(rows, cpu_model(), isa.name, threads, reached)


def of_here(
    results: Path, threads: Iterable[int], isa: Isa, tell: Callable[[str], None]
) -> dict[int, Roof]:
    """This machine's roofs by the number of threads: the table's, else measured and added to it.

    Args:
        results: folder of ``ceilings.csv``.
        threads: the numbers, each at most this process's cores.
        isa: instruction set.
        tell: takes a line about what is measured.

    Raises:
        SparringError: if a roof cannot be measured.
    """
    table, found = Table(results / "ceilings.csv", ceilings.COLUMNS), dict[int, Roof]()
    rows, wanted = table.rows(), sorted(set(threads))
    missing = [number for number in wanted if measured(rows, number, isa) is None]
    if missing:
        counts = " and ".join(map(str, missing))
        word = "thread" if missing == [1] else "threads"
        tell(f"no ceilings of this machine with {counts} {word} yet: measuring them")
        ceilings.measure(
            missing, isa, rounds=7, seconds=0.02, add=lambda row: table.append([row]),
            tell=lambda line: None,
        )  # fmt: skip
        rows = table.rows()
    for number in wanted:
        over = measured(rows, number, isa)
        if over is None:
            raise SparringError(f"{table.path}: lacks a whole measurement with {number} threads")
        found[number] = over
    return found


def doubt(rows: Sequence[Row], over: Roof) -> str | None:
    """A sentence if something computed faster than the peak: then the roof is too low.

    Args:
        rows: of this machine, with ``gflops``.
        over: the roof that they stand under.
    """
    rates = [rate for row in rows if isinstance(rate := row["gflops"], float)]
    if not rates or max(rates) <= DOUBTFUL * over.peak:
        return None
    return (
        f"{max(rates):.1f} GFLOP/s were reached under a roof of {over.peak:.1f}: it was measured "
        "while something else ran; measure it again (python -m kernels ceilings) on a quiet "
        "machine, then this"
    )


def of_core(machine: Machine, active: int) -> Roof:
    """What falls to one of so many busy cores of a described machine, at its first clock.

    Raises:
        SparringError: if the description lacks numbers.
    """
    whole = machine.roof(active, machine.clocks[0].name if machine.clocks else "base")
    if whole is None:
        raise SparringError(
            f"machine {machine.name}: its description lacks clocks, flops_per_cycle or memory, "
            "without which it has no roofs"
        )
    bandwidth = {level: rate / active for level, rate in whole.bandwidth.items()}
    capacity = {f"L{cache.level}": cache.share(active) for cache in machine.caches}
    return Roof(whole.peak / active, bandwidth, capacity)
