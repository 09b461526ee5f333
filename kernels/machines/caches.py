"""This machine's caches, and how much of each a thread may fill.

Read from ``/sys/devices/system/cpu/cpu*/cache``, which Linux offers (in virtual machines as the
host tells it).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sparring.benchmark.machine import cores as allowed_cores
from sparring.errors import SparringError

CPUS = Path("/sys/devices/system/cpu")

#: Main memory is streamed through in at least so many times the last cache.
BEYOND = 4
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True)
class Cache:
    """A data cache.

    Attributes:
        level: 1 is nearest to the core.
        bytes: its size.
        cpus: the CPUs that share it.
    """

    level: int
    bytes: int
    cpus: frozenset[int]


def caches(cpu: int, folder: Path = CPUS) -> tuple[Cache, ...]:
    """The data caches that serve a CPU, nearest first.

    Raises:
        SparringError: if the system does not tell.
    """
    found = []
    for index in sorted((folder / f"cpu{cpu}" / "cache").glob("index*")):
        try:
            if (index / "type").read_text().strip() == "Instruction":
                continue
            size = (index / "size").read_text().strip()
            shared = (index / "shared_cpu_list").read_text().strip()
            level = int((index / "level").read_text())
            found.append(Cache(level, _bytes(size), _cpus(shared)))
        except (OSError, ValueError):
            continue
    if not found:
        raise SparringError(
            f"{folder / f'cpu{cpu}' / 'cache'}: tells of no caches, and without their sizes no "
            "bandwidth of a level can be measured"
        )
    return tuple(sorted(found, key=lambda cache: cache.level))


def _bytes(size: str) -> int:
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1:] in _UNITS else int(size)


def _cpus(text: str) -> frozenset[int]:
    """The CPUs of a list such as ``0-3,8``."""
    ranges = [part.partition("-") for part in text.split(",")]
    return frozenset(
        cpu for first, dash, last in ranges for cpu in range(int(first), int(last or first) + 1)
    )


def cores(folder: Path = CPUS) -> tuple[int, ...]:
    """One CPU of each physical core that this process may keep busy."""
    if hasattr(os, "sched_getaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
    else:
        allowed = list(range(os.cpu_count() or 1))
    firsts: dict[tuple[str, str], int] = {}
    for cpu in allowed:
        topology = folder / f"cpu{cpu}" / "topology"
        try:
            package = (topology / "physical_package_id").read_text()
            core = package, (topology / "core_id").read_text()
        except OSError:  # hidden: each CPU counts as a core
            core = "", str(cpu)
        firsts.setdefault(core, cpu)
    return tuple(firsts.values())[: allowed_cores()]  # a control group may allow fewer
