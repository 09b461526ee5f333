"""Roofs over some cores of a machine: of this one as measured, of another one as described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kernels.caches import Cache, caches, cores
from kernels.machines import Machine
from kernels.roof import Roof, roof
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused.machine import Isa


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
