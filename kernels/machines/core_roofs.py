"""Roofs over some cores of a machine: of this one as measured, of another one as described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernels.machines import ceilings, curve
from kernels.machines.caches import caches, cores
from kernels.machines.machine import Machine
from kernels.machines.roof import Roof, roof
from kernels.table import Row, Table, Value
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused.machine import Isa

CURVE = "bandwidth_curve.csv"
#: So many times a roof are no accident of measuring, however small the intervals are.
DOUBTFUL = 1.03
#: What tells points apart: level, source of bytes, and what is told of them.
_POINT = (
    "level", "bytes_source", "kernel", "variant", "batch_size", "input_size", "direction", "stage",
)  # fmt: skip


def measured(
    rows: Iterable[Mapping[str, str]], curves: Iterable[Mapping[str, str]], threads: int, isa: Isa
) -> Roof | None:
    """This machine's, over so many threads, each with a core; None if it was not measured.

    A cache's capacity is what it reaches by the run's own curve: a run without one does not count.

    Args:
        rows: of ``ceilings.csv``.
        curves: of ``bandwidth_curve.csv``.
        threads: their private caches together hold so many times as much.
        isa: instruction set that was measured with.
    """
    cpus, runs = cores(), dict[str, list[Mapping[str, str]]]()
    for row in curves:
        if (row["machine"], row["isa"], row["threads"]) == (cpu_model(), isa.name, str(threads)):
            runs.setdefault(row["run"], []).append(row)
    described = caches(cpus[0])
    capacities = {
        run: {
            level.level: int(level.reaches)
            for level in curve.levels_of(own, cpus[:threads], described)[:-1]
        }
        for run, own in runs.items()
    }
    return roof(rows, cpu_model(), isa.name, threads, capacities)


def of_here(
    results: Path,
    threads: Iterable[int],
    isa: Isa,
    tell: Callable[[str], None],
    rounds: int = 7,
) -> dict[int, Roof]:
    """This machine's roofs by the number of threads: the table's, else measured and added to it.

    Args:
        results: folder of ``ceilings.csv`` and ``bandwidth_curve.csv``.
        threads: the numbers, each at most this process's cores.
        isa: instruction set.
        tell: takes a line about what is measured.
        rounds: samples of each roof, if they are measured.

    Raises:
        SparringError: if a roof cannot be measured.
    """
    table, found = Table(results / "ceilings.csv", ceilings.COLUMNS), dict[int, Roof]()
    curves = Table(results / CURVE, curve.COLUMNS)
    rows, shape, wanted = table.rows(), curves.rows(), sorted(set(threads))
    missing = [number for number in wanted if measured(rows, shape, number, isa) is None]
    if missing:
        counts = " and ".join(map(str, missing))
        word = "thread" if missing == [1] else "threads"
        tell(f"no ceilings of this machine with {counts} {word} yet: measuring them")
        ceilings.measure(
            missing, isa, rounds=rounds, seconds=0.02, add=lambda row: table.append([row]),
            add_to_curve=lambda row: curves.append([row]), tell=lambda line: None,
        )  # fmt: skip
        rows, shape = table.rows(), curves.rows()
    for number in wanted:
        over = measured(rows, shape, number, isa)
        if over is None:
            raise SparringError(f"{table.path}: lacks a whole measurement with {number} threads")
        found[number] = over
    return found


def of_here_again(
    results: Path, threads: Iterable[int], isa: Isa, rounds: int = 7
) -> dict[int, Roof]:
    """This machine's roofs with more samples, taken now and added to the table.

    Args:
        results: folder of ``ceilings.csv``, in which `of_here` found them.
        threads: the numbers.
        isa: instruction set.
        rounds: further samples of each roof.

    Raises:
        SparringError: if a roof cannot be measured.
    """
    table = Table(results / "ceilings.csv", ceilings.COLUMNS)
    wanted = sorted(set(threads))
    for number in wanted:
        ceilings.measure_again(
            table.rows(), number, isa, rounds=rounds, seconds=0.02,
            add=lambda row: table.append([row]),
        )  # fmt: skip
    return of_here(results, wanted, isa, lambda line: None)


def doubts(rows: Sequence[Row], over: Roof, before: Roof | None = None) -> list[str]:
    """A sentence for every point above its roof by more than the interval of both.

    Args:
        rows: of one machine and number of threads.
        over: the roof that they stand under.
        before: the roof that their percentages are of, if it was another.
    """
    found = []
    for point in above(rows, over, before, min):
        _, _, kernel, *case = point.key
        what = "the peak" if point.roof == "FMA" else point.roof
        words = ", ".join(str(word) for word in case if word is not None)
        found.append(
            f"{kernel} ({words}) reached {100 * min(point.parts):.0f} to "
            f"{100 * max(point.parts):.0f} % of its roof, {what}"
        )
    return found


@dataclass(frozen=True)
class Above:
    """A point above its roof: a kernel's variant in a case at a level.

    Attributes:
        key: `_POINT`'s columns.
        roof: ``"FMA"`` or the level.
        parts: of the roof, what each sample reached.
    """

    key: tuple[Value, ...]
    roof: str
    parts: Sequence[float]


def above(
    rows: Sequence[Row],
    over: Roof,
    before: Roof | None,
    summary: Callable[[Sequence[float]], float],
) -> list[Above]:
    """The points whose samples, summed up, lie above the spread of their roof (`Roof`).

    Args:
        rows: of one machine and number of threads.
        over: the roof that they stand under.
        before: the roof that their percentages are of, if it was another.
        summary: ``min``: of the samples' whole interval; ``median``: of the point as it is drawn.
    """
    known = before or over
    points: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        if isinstance(row.get("percent_of_ceiling"), float) or isinstance(row["gflops"], float):
            points.setdefault(tuple(row.get(name) for name in _POINT), []).append(row)
    found = []
    for point, own in points.items():
        level = str(point[0])
        rates = [rate for row in own if isinstance(rate := row["gflops"], float)]
        higher = over.bandwidth.get(level, 1.0) / known.bandwidth.get(level, 1.0)
        parts = [
            part / 100 / higher
            for row in own
            if isinstance(part := row.get("percent_of_ceiling"), float)
        ]
        of_peak = [rate / over.peak for rate in rates] if any(rates) else []
        for name, reached in (("FMA", of_peak), (level, parts)):
            if reached and summary(reached) > max(1 + over.spread.get(name, 0.0), DOUBTFUL):
                found.append(Above(point, name, reached))
                break
    return found


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
