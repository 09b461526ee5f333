"""A workload that calibrates messages: half a round trip between two ranks, wherever they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpi4py import MPI


class PingPong:
    """Ranks 0 and 1 send a message to and fro; the others, if any, wait.

    Latency is the time of the smallest message, bandwidth that of the largest: between cores of a
    node with ``nodes = 1``, over the network with ``nodes = 2``.
    """

    version = 1
    modules = ()
    packages = ("numpy",)

    @staticmethod
    def check(parameters: dict[str, Any]) -> None:
        """Refuse what is no exchange of messages."""
        if parameters["processes"] < 2:
            raise ValueError("processes is 1; expected 2, since a message has two ends")
        for name in ("message_bytes", "round_trips"):
            if not isinstance(parameters.get(name), int) or parameters[name] < 1:
                raise ValueError(f"{name} is {parameters.get(name)!r}; expected a number from 1")

    def setup(self, comm: MPI.Intracomm, parameters: dict[str, Any]) -> None:
        """Allocate the message and touch its pages."""
        import numpy as np

        self.comm = comm
        self.bytes, self.times = parameters["message_bytes"], parameters["round_trips"]
        self.message = np.ones(self.bytes, np.uint8)
        self.received = np.zeros(self.bytes, np.uint8)

    def run(self) -> dict[str, float]:
        """Send to and fro; metrics are of one message in one direction."""
        if self.comm.rank > 1:
            return {}
        other, buffers = 1 - self.comm.rank, (self.message, self.received)
        started = time.perf_counter()
        for _ in range(self.times):
            if self.comm.rank == 0:
                self.comm.Send(buffers[0], other)
                self.comm.Recv(buffers[1], other)
            else:
                self.comm.Recv(buffers[1], other)
                self.comm.Send(buffers[0], other)
        seconds = (time.perf_counter() - started) / (2 * self.times)
        if not (self.received == self.message).all():
            raise RuntimeError("a message arrived otherwise than it was sent")
        return {"message_seconds": seconds, "bytes_per_second": self.bytes / seconds}

    def teardown(self) -> None:
        """Nothing is held."""
