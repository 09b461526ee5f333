"""The machine at hand, as Linux describes it: caches, no theoretical roofs."""

from __future__ import annotations

from pathlib import Path

from kernels.machines.caches import CPUS, caches, cores
from kernels.machines.machine import HERE, Level, Machine
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused.machine import machine_isa


def here(folder: Path = CPUS) -> Machine:
    """This machine, with the cores that this process may use as its only socket.

    Raises:
        SparringError: if the system does not tell of its caches.
    """
    cpus = cores(folder)
    levels = tuple(
        Level(
            level=cache.level, bytes=cache.bytes, shared_by=max(1, len(cache.cpus & set(cpus))),
            ways=_number(cpus[0], cache.level, "ways_of_associativity", folder),
            line=_number(cpus[0], cache.level, "coherency_line_size", folder),
            source=f"Linux, {folder / f'cpu{cpus[0]}' / 'cache'}",
        )
        for cache in caches(cpus[0], folder)
    )  # fmt: skip
    return Machine(
        name=HERE, title=cpu_model(), models=(cpu_model(),), isa=machine_isa().name, sockets=1,
        cores_per_socket=len(cpus), caches=levels, source="Linux: cores that this process may use",
    )  # fmt: skip


def _number(cpu: int, level: int, key: str, folder: Path) -> int:
    """A number of the data cache of that level."""
    for index in sorted((folder / f"cpu{cpu}" / "cache").glob("index*")):
        try:
            if (index / "type").read_text().strip() != "Instruction" and (
                int((index / "level").read_text()) == level
            ):
                return int((index / key).read_text())
        except (OSError, ValueError):
            continue
    raise SparringError(f"{folder / f'cpu{cpu}' / 'cache'}: no {key} of L{level}")
