"""Sharing a host: whether ranks have a core for each of their threads, and meeting other launches.

What ran decides of the first. The second is for two launches that run at the same time on cores of
their own (`harness.comparison.duet`): their repetitions begin together.
"""

from __future__ import annotations

import os

from harness.cpus import allowed_cpus, cgroup_core_limit, core_of, host_name

TYPE_CHECKING = False  # a rank imports nothing for this
if TYPE_CHECKING:
    from collections.abc import Iterable


class Seat:
    """Where a rank runs.

    Attributes:
        host: the system's own name of it; a scheduler's variables may be another job's.
        cores: physical cores that it may run on, as pairs of socket and core.
        limit: CPU time that its control group allows, in cores, or None.
    """

    def __init__(
        self, host: str, cores: frozenset[tuple[int, int]], limit: float | None = None
    ) -> None:
        self.host, self.cores, self.limit = host, cores, limit


def own_seat() -> Seat:
    """The seat of this process; call it when it is bound."""
    return Seat(host_name(), frozenset(map(core_of, allowed_cpus())), cgroup_core_limit())


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


class Meeting:
    """Two launches that wait for each other before each repetition.

    Each has a named pipe (fifo(7)), in which the other puts a byte when it has come. A launch that
    has ended has removed its own, and nobody waits for it any longer.

    Args:
        own: path of our pipe.
        other: path of the other launch's.

    Raises:
        OSError: if one cannot be opened.
    """

    _LOOK_MILLISECONDS = 50

    def __init__(self, own: str, other: str) -> None:
        # For reading and writing: so neither opening waits, and a byte stays until it is read.
        self._own = os.open(own, os.O_RDWR)
        self._there = other
        try:
            self._other = os.open(other, os.O_RDWR)
        except FileNotFoundError:  # it has ended already
            self._other = -1

    def wait(self) -> None:
        """Say that we have come, and wait until the other has; or is gone."""
        if self._other < 0:
            return
        import select  # only those that have company

        os.write(self._other, b"x")
        waiting = select.poll()
        waiting.register(self._own, select.POLLIN)
        while not waiting.poll(self._LOOK_MILLISECONDS):
            if not os.path.exists(self._there):  # noqa: PTH110 (ranks import no pathlib for this)
                return
        os.read(self._own, 1)


def meeting_of(pipes: list[str]) -> Meeting | None:
    """The meeting that a launch's specification asks for, by its two pipes; None of none."""
    return Meeting(*pipes) if pipes else None
