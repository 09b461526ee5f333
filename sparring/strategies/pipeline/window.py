"""Weights through a one-sided window in which the newest overwrite.

The trainer's window has two slots, written in turn, so that the newest complete weights stay
readable while the next are written. A slot is a sequence lock: its version stands before it, and is
-1 while the slot is written. A generator reads the versions, gets the newer slot, and reads its
version again: the weights are whole exactly if it is the same (Lameter, "Effective Synchronization
on Linux/NUMA Systems", 2005, on sequence locks; MPI 4.1, chapter 12, on the unified memory model
and on ``MPI_Win_sync``). Readers never hold the trainer up, and the trainer takes no part in a
read: with passive locks, each read would wait until the trainer enters the MPI library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparring.compute.interface import Compute
from sparring.strategies.node_memory import check_room
from sparring.strategies.pipeline.messages import Bytes, WeightsBuffer
from sparring.strategies.telemetry import RankLog

if TYPE_CHECKING:
    from mpi4py import MPI

_SLOTS = 2
_BEING_WRITTEN = -1


def _stride(compute: Compute) -> int:
    """Bytes from slot to slot: a multiple of a cache line."""
    return (WeightsBuffer.size(compute) + 63) // 64 * 64


def _memory_of(window: MPI.Win) -> Bytes:
    return np.asarray(window.tomemory(), np.uint8)


def open_window(comm: MPI.Intracomm, compute: Compute) -> MPI.Win:
    """The window, its memory on rank 0, open for access by all. Collective.

    Raises:
        NoRoomError: on every rank, if rank 0's node has not that much memory to share.
    """
    from mpi4py import MPI

    size = _SLOTS * _stride(compute) if comm.rank == 0 else 0
    check_room(comm, size)
    window = MPI.Win.Allocate(size, 1, comm=comm)
    if comm.rank == 0:
        memory = _memory_of(window)
        for slot in range(_SLOTS):
            WeightsBuffer(compute, memory[slot * _stride(compute) :]).version[0] = _BEING_WRITTEN
    window.Lock_all(MPI.MODE_NOCHECK)
    window.Sync()
    comm.Barrier()
    return window


def close_window(window: MPI.Win) -> None:
    """End access and free the window. Collective."""
    window.Unlock_all()
    window.Free()


class WindowSender:
    """The trainer's end: writes its own memory, and sends nothing."""

    def __init__(self, window: MPI.Win, compute: Compute, log: RankLog, version: int) -> None:
        memory = _memory_of(window)
        stride = _stride(compute)
        self._slots = [WeightsBuffer(compute, memory[k * stride :]) for k in range(_SLOTS)]
        self._window, self._compute, self._log = window, compute, log
        self._written, self._next = version, 0

    def offer(self, version: int, due: int) -> None:
        """See `WeightsSender`."""
        if self._written >= due:
            return
        slot = self._slots[self._next]
        with self._log.phase("send"):
            slot.version[0] = _BEING_WRITTEN
            self._window.Sync()
            self._compute.read_weights(slot.weights)
            self._window.Sync()
            slot.version[0] = version
            self._window.Sync()
        self._written, self._next = version, (self._next + 1) % _SLOTS
        self._log.counters["weights_sent"] += 1

    def drained(self) -> bool:
        """Nothing is ever in flight."""
        return True


class WindowReceiver:
    """A generator's end: reads the newest whole weights."""

    def __init__(self, window: MPI.Win, compute: Compute, log: RankLog, version: int) -> None:
        self._window, self._compute, self._log = window, compute, log
        self._inbox, self._stride = WeightsBuffer(compute), _stride(compute)
        self._seen = np.zeros(1, np.int64)
        self.version = version

    def take(self) -> int | None:
        """See `WeightsReceiver`."""
        versions = [self._version(slot) for slot in range(_SLOTS)]
        newest = max(versions)
        if newest <= self.version:
            return None
        slot = versions.index(newest)
        with self._log.phase("receive"):
            target = (slot * self._stride, self._inbox.bytes.nbytes)
            self._window.Get(self._inbox.bytes, 0, target)
            self._window.Flush(0)
            self._window.Sync()  # the version is to be read after the weights
            if self._version(slot) != newest or int(self._inbox.version[0]) != newest:
                # Overwritten while it was read: what overwrote it comes at the next look.
                self._log.counters["weights_torn"] += 1
                return None
            self._log.received(self._inbox.bytes.nbytes)
            self._compute.write_weights(self._inbox.weights)
        self.version = newest
        self._log.counters["weights_taken"] += 1
        return newest

    def _version(self, slot: int) -> int:
        self._window.Get(self._seen, 0, (slot * self._stride, 8))
        self._window.Flush(0)
        return int(self._seen[0])
