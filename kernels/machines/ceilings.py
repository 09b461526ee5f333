"""A machine's roofs: its peak of multiply-adds, and what each level of memory delivers.

Everything is measured once a round, in random order, so that what slows a shared machine for a
while falls on all of them alike; every sample is kept.

Sources: S. Williams, A. Waterman and D. Patterson, "Roofline", Communications of the ACM 52(4),
2009, for what the roofs are for; J. D. McCalpin, "Memory Bandwidth and Machine Balance in Current
High Performance Computers", IEEE TCCA Newsletter, December 1995, for the triad a = b + s c and its
convention: 12 bytes an element in float32, the line that a store fetches first not counted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kernels.machines import curve
from kernels.machines.caches import Cache, caches, cores
from kernels.machines.probe import AbsentStreamError, Probe
from kernels.sgemm import sgemm
from kernels.table import SCHEMA_VERSION, Row, Value, utc_now
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused.machine import Isa

COLUMNS = (
    "schema_version", "run", "machine", "isa", "threads", "level", "kind", "working_set_bytes",
    "round", "seconds", "gflops", "gbytes_per_second", "source", "started_at",
)  # fmt: skip

#: A measurement's first guess of its length lasts this long, at least.
_GUESS_SECONDS = 1e-3
_MOST_PARTS = 2**40
#: Kinds that bound kernels.
_ROOFS = ("fma", *curve.KINDS)


@dataclass(frozen=True)
class Ceiling:
    """A roof to measure.

    Attributes:
        level: "FMA", "L1", "L2", "L3", "DRAM".
        kind: "fma", "sgemm" (NumPy's matrix product, as a cross-check), or one of `STREAMS`.
        cpus: one for each thread.
        working_set: bytes of all threads together; None for what stays in registers or is a
            library's to choose.
    """

    level: str
    kind: str
    cpus: tuple[int, ...]
    working_set: int | None

    def __str__(self) -> str:
        """For progress."""
        return (
            f"{self.level} {self.kind}, {len(self.cpus)} thread{'' if len(self.cpus) == 1 else 's'}"
        )


def planned(
    cpus: Sequence[int], levels: tuple[Cache, ...], curves: Sequence[Row], *, product: bool
) -> list[Ceiling]:
    """The roofs of one number of threads, a thread on each CPU.

    Args:
        cpus: one for each thread.
        levels: described caches.
        curves: rows of `kernels.machines.curve`, which tell what each cache holds.
        product: whether NumPy's matrix product is one of them.
    """
    chosen = tuple(cpus)
    roofs = [Ceiling("FMA", "fma", chosen, None)]
    if product:
        roofs.append(Ceiling("FMA", "sgemm", chosen, None))
    effective = curve.levels_of(curves, chosen, levels)
    for kind in curve.KINDS:
        for level, size in curve.working_sets(effective, curves, len(chosen), kind).items():
            roofs.append(Ceiling(level, kind, chosen, size))
            if level == "DRAM" and kind == "triad":
                roofs.append(Ceiling(level, "triad_nontemporal", chosen, size))
    return roofs


class Measurement:
    """Samples of roofs.

    Args:
        probe: measures.
        seconds: how long a sample lasts, nearly.
        tell: takes a line about what cannot be measured.
    """

    def __init__(self, probe: Probe, seconds: float, tell: Callable[[str], None]) -> None:
        self._probe, self._seconds, self._tell = probe, seconds, tell
        self._parts: dict[Ceiling, int] = {}  # rounds or passes that last so long
        self._absent: set[Ceiling] = set()

    def sample(self, ceiling: Ceiling) -> tuple[float, float] | None:
        """Seconds, and the operations or bytes done in them; None if there is no such roof here.

        Raises:
            ProbeError: if measuring fails.
        """
        if ceiling in self._absent:
            return None
        sampled = None
        if ceiling.kind == "sgemm":
            sampled = sgemm(ceiling.cpus)
        else:
            try:
                if ceiling not in self._parts:
                    self._parts[ceiling] = self._calibrated(ceiling)
                sampled = self._run(ceiling, self._parts[ceiling])
            except AbsentStreamError:
                pass
        if sampled is None:
            self._absent.add(ceiling)
            self._tell(f"{ceiling}: cannot be measured here")
        return sampled

    def _calibrated(self, ceiling: Ceiling) -> int:
        parts = 64 if ceiling.kind == "fma" else 1
        while parts < _MOST_PARTS:
            seconds, _ = self._run(ceiling, parts)
            if seconds >= _GUESS_SECONDS:
                return max(1, parts, round(parts * self._seconds / seconds))
            parts *= 4
        raise SparringError(f"{ceiling}: takes no time; was it optimised away?")

    def _run(self, ceiling: Ceiling, parts: int) -> tuple[float, float]:
        if ceiling.kind == "fma":
            return self._probe.fma(parts, ceiling.cpus)
        assert ceiling.working_set is not None
        size = ceiling.working_set // len(ceiling.cpus)
        return self._probe.stream(ceiling.kind, size, parts, ceiling.cpus)


def measure(
    threads: Sequence[int],
    isa: Isa,
    *,
    rounds: int,
    seconds: float,
    add: Callable[[Row], None],
    add_to_curve: Callable[[Row], None],
    tell: Callable[[str], None],
    seed: int = 0,
    product: bool = True,
    levels: tuple[Cache, ...] | None = None,
) -> None:
    """Measure the curves of bandwidth over the working set, then all roofs.

    Args:
        threads: numbers of threads, a core for each.
        isa: instruction set to measure with.
        rounds: samples of each roof; a size of a curve has half as many.
        seconds: how long one lasts, nearly; matrix products have their own length, and a sample of
            a curve a quarter.
        add: takes each sample, as a row of `COLUMNS`, as soon as it is there.
        add_to_curve: takes those of the curves, rows of `kernels.machines.curve.COLUMNS`.
        tell: takes a line about the progress.
        seed: of the order.
        product: whether NumPy's matrix product is measured beside them.
        levels: the caches; this machine's if None.

    Raises:
        SparringError: if there are fewer cores than threads, or measuring fails.
    """
    available = cores()
    if too_many := [count for count in threads if not 1 <= count <= len(available)]:
        raise SparringError(
            f"{too_many[0]} threads: this process may use {len(available)} "
            f"core{'' if len(available) == 1 else 's'}, and a roof needs one for each thread"
        )
    if levels is None:
        levels = caches(available[0])
    run, curves = utc_now(), list[Row]()

    def keep(row: Row) -> None:
        add_to_curve(row)
        curves.append(row)

    tell("bandwidth over the working set")
    curve.measure(
        threads, isa, rounds=-(-rounds // 2), seconds=seconds / 4, add=keep, run=run,
        available=available, levels=levels, seed=seed,
    )  # fmt: skip
    roofs = [
        roof
        for count in sorted(set(threads))
        for roof in planned(available[:count], levels, curves, product=product)
    ]
    # What the curve reached at a roof's working set is a sample of that roof, too.
    for roof in roofs:
        for row in curve.samples(curves, len(roof.cpus), roof.kind, roof.working_set):
            shared = {name: row[name] for name in COLUMNS if name in row}
            add(dict.fromkeys(COLUMNS) | shared | {"level": roof.level, "round": None})
    _sample(roofs, isa, run, range(rounds), seconds, add, tell, seed)


def measure_again(
    rows: Sequence[Mapping[str, str]],
    threads: int,
    isa: Isa,
    *,
    rounds: int,
    seconds: float,
    add: Callable[[Row], None],
) -> None:
    """More samples of the latest run's roofs, at the same working sets.

    A host's memory is faster in one minute than in another; a roof is the best of all samples.

    Args:
        rows: of ``ceilings.csv``, oldest first.
        threads: of the run, which was of this machine.
        isa: of the run.
        rounds: samples of each roof.
        seconds: how long one lasts, nearly.
        add: takes each sample, as a row of `COLUMNS`.

    Raises:
        SparringError: if measuring fails.
    """
    wanted, cpus = (cpu_model(), isa.name, str(threads)), tuple(cores()[:threads])
    own = [row for row in rows if (row["machine"], row["isa"], row["threads"]) == wanted]
    last = [row for row in own if row["run"] == own[-1]["run"] and row["kind"] in _ROOFS]
    roofs = [
        Ceiling(level, kind, cpus, int(size) if size else None)
        for level, kind, size in dict.fromkeys(
            (row["level"], row["kind"], row["working_set_bytes"]) for row in last
        )
    ]
    first = 1 + max((int(row["round"]) for row in last if row["round"]), default=-1)
    numbers = range(first, first + rounds)
    _sample(roofs, isa, own[-1]["run"], numbers, seconds, add, lambda line: None, seed=0)


def _sample(
    roofs: list[Ceiling], isa: Isa, run: str, numbers: Sequence[int], seconds: float,
    add: Callable[[Row], None], tell: Callable[[str], None], seed: int,
) -> None:  # fmt: skip
    measurement, order = Measurement(Probe(isa), seconds, tell), random.Random(seed)
    for number in numbers:
        order.shuffle(roofs)
        for roof in roofs:
            started = utc_now()
            if sampled := measurement.sample(roof):
                add(_row(roof, isa, number, *sampled) | {"run": run, "started_at": started})
        tell(f"round {number + 1} of {len(numbers)}")


def _row(
    ceiling: Ceiling, isa: Isa, number: int, seconds: float, amount: float
) -> dict[str, Value]:
    rate = amount / seconds / 1e9
    computes = ceiling.level == "FMA"
    return {
        "schema_version": SCHEMA_VERSION, "machine": cpu_model(), "isa": isa.name,
        "threads": len(ceiling.cpus), "level": ceiling.level, "kind": ceiling.kind,
        "working_set_bytes": ceiling.working_set, "round": number, "seconds": seconds,
        "gflops": rate if computes else None, "gbytes_per_second": None if computes else rate,
        "source": "measured",
    }  # fmt: skip
