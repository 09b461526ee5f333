"""Whether the ranks of a launch had a core for each of their threads: what ran decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness.machine import cgroup_core_limit, cores, host_name


class Seat(NamedTuple):
    """Where a rank runs.

    Attributes:
        host: the system's own name of it; a scheduler's variables may be another job's.
        cores: physical cores that it may run on, as pairs of socket and core.
        limit: CPU time that its control group allows, in cores, or None.
    """

    host: str
    cores: frozenset[tuple[int, int]]
    limit: float | None = None


def own_seat() -> Seat:
    """The seat of this process; call it when it is bound."""
    allowed = frozenset((core.socket, core.core) for core in cores())
    return Seat(host_name(), allowed, cgroup_core_limit())


def share_cores(seats: Iterable[Seat], threads: int) -> bool:
    """Whether on some host the ranks have more threads than cores.

    Args:
        seats: one for each rank.
        threads: of each rank.
    """
    hosts: dict[str, list[Seat]] = {}
    for seat in seats:
        hosts.setdefault(seat.host, []).append(seat)
    return any(len(own) * threads > _cores_of(own) for own in hosts.values())


def _cores_of(seats: list[Seat]) -> int:
    together = frozenset().union(*(seat.cores for seat in seats))
    limits = [seat.limit for seat in seats if seat.limit is not None]
    return max(1, int(min([len(together), *limits])))
