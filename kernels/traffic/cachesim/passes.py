"""Which caches are simulated in which order, so that each level's traffic is seen once.

Callgrind simulates two levels. One pass for each cache of the machine makes it the last level: what
it fetches and writes back is the traffic between it and the next level. In front of it stands the
L1, which keeps repeated reads from it; for the L1's own pass two lines, as small a cache as
Callgrind takes, so that the L1 sees nearly every access.

Sources: Valgrind's manual, chapters 5 (Cachegrind) and 6 (Callgrind, ``--simulate-wb``): LRU,
write-allocate, virtual addresses, inclusive levels, no prefetching.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernels.machines.machine import Level, Machine

#: Lines of the smallest first level that Callgrind takes.
_SMALLEST = 2


@dataclass(frozen=True)
class Geometry:
    """A simulated cache; its number of sets is a power of two.

    Attributes:
        bytes: its size.
        ways: associativity.
        line: bytes.
    """

    bytes: int
    ways: int
    line: int

    def __str__(self) -> str:
        """As Valgrind takes it."""
        return f"{self.bytes},{self.ways},{self.line}"


@dataclass(frozen=True)
class Pass:
    """One simulation.

    Attributes:
        level: whose traffic it tells: "L2" is between L1 and L2.
        first: the L1, or two lines in its place.
        last: the cache that is looked at.
    """

    level: str
    first: Geometry
    last: Geometry


def passes(machine: Machine, active: int) -> list[Pass]:
    """The passes of a machine with so many busy cores, each with its share of shared caches."""
    levels = machine.caches
    l1 = _geometry(levels[0], active)
    names = [*(f"L{cache.level}" for cache in levels[1:]), "DRAM"]
    return [
        Pass(
            name,
            Geometry(_SMALLEST * cache.line, 1, cache.line) if cache is levels[0] else l1,
            _geometry(cache, active),
        )
        for name, cache in zip(names, levels, strict=True)
    ]


def adapted(machine: Machine, active: int) -> list[str]:
    """A line for each cache whose share is simulated by a smaller one with legal sets."""
    found = []
    for cache in machine.caches:
        share, made = cache.bytes // min(active, cache.shared_by), cache.share(active)
        if made != share:
            found.append(
                f"L{cache.level} of {machine.name}: {made / 2**10:g} KiB are simulated for a share "
                f"of {share / 2**10:g} KiB, since sets must be a power of two"
            )
    return found


def _geometry(cache: Level, active: int) -> Geometry:
    return Geometry(cache.share(active), cache.ways, cache.line)
