"""Bandwidth over the working set, in ``results/bandwidth_curve.csv``, and what follows from it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from kernels.machines.caches import BEYOND, Cache
from kernels.machines.plateaus import Plateau, plateaus
from kernels.machines.probe import Probe
from kernels.table import SCHEMA_VERSION, Row, utc_now
from sparring.benchmark.machine import cpu_model
from sparring.fused.machine import Isa

COLUMNS = (
    "schema_version", "run", "machine", "isa", "threads", "kind", "working_set_bytes", "round",
    "passes", "seconds", "gbytes_per_second", "source", "started_at",
)  # fmt: skip

KINDS = ("read", "triad")
#: Sizes a decade, up to `COARSE` bytes of a thread; above, to touch the memory takes longest.
DENSITY, SPARSE, COARSE = 12, 4, 2**25
#: Bytes of a thread's smallest and largest working set.
SMALLEST, LARGEST = 2**13, 2**28


def sizes(levels: Sequence[Cache], cpus: Sequence[int]) -> list[int]:
    """Working sets of a thread, in bytes: from `SMALLEST` to beyond the last cache.

    Beyond it by `BEYOND`, but never above `LARGEST`, so that a described cache of hundreds of MiB
    does not cost minutes.
    """
    last = levels[-1]
    sharing = max(1, len(last.cpus.intersection(cpus)))
    end = min(LARGEST, max(BEYOND * last.bytes // sharing, 4 * SMALLEST))
    found, step = [], 0
    while (size := round(SMALLEST * 10 ** (step / DENSITY))) <= end:
        if size <= COARSE or step % (DENSITY // SPARSE) == 0:
            found.append(size // 64 * 64)
        step += 1
    return found


def measure(
    threads: Sequence[int],
    isa: Isa,
    *,
    rounds: int,
    seconds: float,
    add: Callable[[Row], None],
    run: str,
    available: Sequence[int],
    levels: Sequence[Cache],
    seed: int = 0,
) -> None:
    """Measure the curves, each size once a round, in random order.

    Args:
        threads: numbers of threads, each bound to a core.
        isa: instruction set.
        rounds: samples of each size.
        seconds: how long a sample lasts, nearly; at least one pass.
        add: takes each sample as a row of `COLUMNS`.
        run: its name, shared with the roofs.
        available: CPUs.
        levels: described caches.
        seed: of the order.

    Raises:
        ProbeError: if measuring fails.
    """
    probe, order = Probe(isa), random.Random(seed)
    todo = [
        (tuple(available[:count]), kind, size)
        for count in sorted(set(threads))
        for size in sizes(levels, available[:count])
        for kind in KINDS
    ]
    passes: dict[tuple[object, ...], int] = {}
    for number in range(rounds):
        order.shuffle(todo)
        for cpus, kind, size in todo:
            key = (cpus, kind, size)
            if key not in passes:
                few = max(1, 2**18 // size)
                guess, _ = probe.stream(kind, size, few, cpus)
                passes[key] = max(1, round(few * seconds / max(guess, 1e-7)))
            started = utc_now()
            spent, moved = probe.stream(kind, size, passes[key], cpus)
            add({
                "schema_version": SCHEMA_VERSION, "run": run, "machine": cpu_model(),
                "isa": isa.name, "threads": len(cpus), "kind": kind,
                "working_set_bytes": size * len(cpus), "round": number, "passes": passes[key],
                "seconds": spent, "gbytes_per_second": moved / spent / 1e9, "source": "measured",
                "started_at": started,
            })  # fmt: skip


def best(rows: Iterable[Mapping[str, object]], threads: int, kind: str) -> dict[int, float]:
    """The best rate in GB/s of each working set."""
    found: dict[int, float] = {}
    for row in rows:
        if (int(str(row["threads"])), row["kind"]) == (threads, kind):
            size, rate = int(str(row["working_set_bytes"])), float(str(row["gbytes_per_second"]))
            found[size] = max(rate, found.get(size, 0.0))
    return found


def samples(rows: Iterable[Row], threads: int, kind: str, size: int | None) -> list[Row]:
    """Those of a working set of all threads, in bytes."""
    wanted = (threads, kind, size)
    return [
        row for row in rows if (row["threads"], row["kind"], row["working_set_bytes"]) == wanted
    ]


def levels_of(
    rows: Iterable[Mapping[str, object]], cpus: Sequence[int], described: Sequence[Cache]
) -> list[Plateau]:
    """The levels that so many threads have, by the rule of `kernels.machines.plateaus`.

    Args:
        rows: of one run.
        cpus: one for each thread.
        described: what serves the first of them.
    """
    instances = [-(-len(cpus) // max(1, len(c.cpus.intersection(cpus)))) for c in described]
    return plateaus(best(rows, len(cpus), "read"), described, instances)


def working_sets(
    levels: Sequence[Plateau], rows: Sequence[Mapping[str, object]], threads: int, kind: str
) -> dict[str, int]:
    """Bytes of all threads with which each level's roof is measured: where the curve is highest.

    Of a cache, the best among those that it holds and the one before does not reach; of main
    memory, among those of at least twice the last cache's reach, or `BEYOND` times of it if the
    curve ends before.
    """
    curve, inner, found = best(rows, threads, kind), 0.0, {}
    for level in levels:
        least = inner if math.isfinite(level.holds) else 2 * inner
        inside = [size for size in curve if least < size <= level.holds]
        if inside:
            found[level.level] = max(inside, key=lambda size: curve[size])
        elif not math.isfinite(level.holds):
            found[level.level] = int(BEYOND * inner)
        else:
            found[level.level] = int(level.holds)
        inner = level.reaches
    return found
