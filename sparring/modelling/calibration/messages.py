"""Measure messages: two ranks, collectives, one-sided transfers, and a look for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sparring.strategies.node_memory import check_room
from sparring.strategies.reduction import MessageReduction, SharedReduction
from sparring.strategies.waiting import Waiting, choose_waiting

if TYPE_CHECKING:
    from mpi4py import MPI

#: Rounds in which all sizes take their turn, so that a slow moment spoils none of them alone.
ROUNDS = 10
_PER_ROUND = 10
_LOOKS = 1000
_FIRST = 3  # of a round: buffers and connections become warm
_REST_SECONDS = 1e-3

Samples = list[float]


def rest(comm: MPI.Intracomm) -> None:
    """Meet all ranks without burning a core meanwhile: some measure while the others sleep."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(_REST_SECONDS)


def half_round_trips(comm: MPI.Intracomm, waiting: Waiting, size: int, times: int) -> Samples:
    """Seconds of half a round trip of ``size`` bytes between two ranks, ``times`` times."""
    buffer, other = np.zeros(size, np.uint8), 1 - comm.rank
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        for sending in (comm.rank == 0, comm.rank != 0):
            request = comm.Isend(buffer, other) if sending else comm.Irecv(buffer, other)
            waiting.finish(request, "the other rank")
        seconds.append((time.perf_counter() - began) / 2)
    return seconds


def measure_link(pair: MPI.Intracomm, sizes: Sequence[int]) -> dict[int, Samples]:
    """Seconds of one message by size, between the two ranks of ``pair``. Collective."""
    waiting = choose_waiting(pair)
    found: dict[int, Samples] = {size: [] for size in sizes}
    for _ in range(ROUNDS):
        for size in sizes:
            found[size] += half_round_trips(pair, waiting, size, _FIRST + _PER_ROUND)[_FIRST:]
    return found


def measure_reduction(
    reduction: type[MessageReduction | SharedReduction],
    comm: MPI.Intracomm,
    count: int,
    dtype: npt.DTypeLike,
) -> Samples:
    """Seconds until the last rank has the sum of ``count`` elements. Collective."""
    waiting = choose_waiting(comm)
    sums = reduction(comm, count, dtype, waiting)
    sums.own[:] = 0
    found = _together(comm, waiting, lambda: sums.reduce("the other ranks"))
    sums.close()
    return found


def measure_broadcast(comm: MPI.Intracomm, size: int) -> Samples:
    """Seconds until the last rank has ``size`` bytes of rank 0's. Collective."""
    waiting, buffer = choose_waiting(comm), np.zeros(size, np.uint8)
    return _together(
        comm, waiting, lambda: waiting.finish(comm.Ibcast(buffer), "rank 0's broadcast")
    )


def _together(comm: MPI.Intracomm, waiting: Waiting, action: Callable[[], None]) -> Samples:
    """Seconds from a barrier until the slowest rank has done an action, on every rank."""
    from mpi4py import MPI

    own = []
    for _ in range(_FIRST + ROUNDS * _PER_ROUND // 2):
        waiting.finish(comm.Ibarrier(), "the other ranks")
        began = time.perf_counter()
        action()
        own.append(time.perf_counter() - began)
    slowest = np.array(own[_FIRST:])
    waiting.finish(comm.Iallreduce(MPI.IN_PLACE, slowest, MPI.MAX), "the other ranks")
    return [float(seconds) for seconds in slowest]


def measure_window(pair: MPI.Intracomm, size: int) -> tuple[Samples, Samples]:
    """Seconds that rank 1 takes to put and to get ``size`` bytes of rank 0's memory. Collective.

    Raises:
        NoRoomError: on both ranks, if rank 0's node has not that much memory to share.
    """
    from mpi4py import MPI

    own = size if pair.rank == 0 else 0
    check_room(pair, own)
    window = MPI.Win.Allocate(own, 1, comm=pair)
    buffer = np.zeros(size, np.uint8)
    puts: Samples = []
    gets: Samples = []
    window.Lock_all(MPI.MODE_NOCHECK)
    if pair.rank == 1:
        for _ in range(_FIRST + ROUNDS * _PER_ROUND // 2):
            for transfer, seconds in ((window.Put, puts), (window.Get, gets)):
                began = time.perf_counter()
                transfer(buffer, 0)
                window.Flush(0)
                seconds.append(time.perf_counter() - began)
    window.Unlock_all()
    window.Free()
    puts, gets = pair.bcast((puts[_FIRST:], gets[_FIRST:]), root=1)
    return puts, gets


def measure_probe(pair: MPI.Intracomm) -> Samples:
    """Seconds of a look for a message that is not there, each a mean of many looks."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(_LOOKS):
            pair.Iprobe(1 - pair.rank, 1)
        seconds.append((time.perf_counter() - began) / _LOOKS)
    return seconds
