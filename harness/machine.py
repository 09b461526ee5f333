"""What this machine offers to processes: its cores, and which CPUs a rank may be bound to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness.cpus import SYSTEM, allowed_cpus, cgroup_core_limit, core_of, host_name
from harness.job import allocation

# Cores of the machine that is planned for, where it is not this one (`planned_for`).
_planned: list[int] = []


class Core(NamedTuple):
    """A physical core and those of its CPUs (hardware threads) that we may run on."""

    socket: int
    core: int
    cpus: tuple[int, ...]


@cache
def cores() -> tuple[Core, ...]:
    """The physical cores that this process may run on, by socket and core number.

    Two hardware threads of a core share its arithmetic units, so a process each would be measured
    at half speed: cores are what a scaling study counts.
    """
    return _cores_of(allowed_cpus())


@cache
def hardware_cores() -> tuple[Core, ...]:
    """All physical cores of this node, also those that we may not run on."""
    return _cores_of(range(os.cpu_count() or 1))


def _cores_of(cpus: Iterable[int]) -> tuple[Core, ...]:
    grouped: dict[tuple[int, int], list[int]] = {}
    for cpu in cpus:
        grouped.setdefault(core_of(cpu), []).append(cpu)
    return tuple(Core(*key, tuple(members)) for key, members in sorted(grouped.items()))


def node_name() -> str:
    """This node's name as the scheduler knows it, else as the system does."""
    return allocation().node or host_name()


def node_cores() -> int:
    """How many cores processes may keep busy on this node.

    Affinity, control group and the allocation are respected; schedulers count hardware threads.
    """
    available = len(cores())
    limits = [float(available)]
    if (limit := cgroup_core_limit()) is not None:
        limits.append(limit)
    if granted := allocation().cpus:
        limits.append(granted / max(len(core.cpus) for core in cores()))
    return max(1, int(min(limits)))


def node_count() -> int:
    """Nodes of the allocation that we run in; 1 elsewhere."""
    return allocation().nodes


def machine_cores() -> int:
    """Cores of this machine, or of all nodes of the allocation, or of what is planned for."""
    return _planned[-1] if _planned else node_cores() * node_count()


@contextlib.contextmanager
def planned_for(cores_of_machine: int) -> Iterator[None]:
    """Let ``machine_cores`` be another machine's: a login node plans for compute nodes."""
    _planned.append(cores_of_machine)
    try:
        yield
    finally:
        _planned.pop()


def bindings(processes: int, threads: int, first: int = 0) -> list[list[int]] | None:
    """CPUs for each rank, ``threads`` cores a rank; None if there are too few cores to bind.

    One CPU per core, so that no two ranks share one; neighbours in rank are neighbours in socket.
    The first rank is bound to the core of number ``first``.
    """
    available = [core.cpus[0] for core in cores()][first : node_cores()]
    if processes * threads > len(available):
        return None
    return [available[rank * threads : (rank + 1) * threads] for rank in range(processes)]


@cache
def cpu_model() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


@cache
def vector_extensions() -> list[str]:
    """The processor's vector instruction sets that decide how fast kernels can be."""
    wanted = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return [name for name in wanted if name in line.split(":", 1)[1].split()]
    except OSError:
        pass
    return []


def governor() -> str | None:
    """The frequency governor, or None where the system hides it (virtual machines)."""
    try:
        return (SYSTEM / "cpu0" / "cpufreq" / "scaling_governor").read_text().strip()
    except OSError:
        return None


def turbo() -> bool | None:
    """Whether clocks may rise above their base, or None where the system hides it."""
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        with contextlib.suppress(OSError):
            return (SYSTEM / name).read_text().strip() == on
    return None


def memory_bytes() -> int:
    """Physical memory in bytes."""
    import psutil  # `plan` has no use for it

    return int(psutil.virtual_memory().total)
