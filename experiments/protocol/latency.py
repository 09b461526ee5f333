"""Latency of messages between two ranks, for both ways of waiting (a rank program)."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from mpi4py import MPI

from sparring.strategies.waiting import Waiting


def half_round_trips(comm: MPI.Intracomm, waiting: Waiting, size: int, times: int) -> list[float]:
    """Seconds of half a round trip of ``size`` bytes, ``times`` times."""
    buffer, other = np.zeros(size, np.uint8), 1 - comm.rank
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        for sending in (comm.rank == 0, comm.rank != 0):
            request = comm.Isend(buffer, other) if sending else comm.Irecv(buffer, other)
            waiting.finish(request, "the other rank")
        seconds.append((time.perf_counter() - began) / 2)
    return seconds


def main(job: dict[str, list[int]]) -> None:
    """Measure every size with both ways of waiting, in turn."""
    comm = MPI.COMM_WORLD
    rows = []
    for size in job["sizes"]:
        samples: dict[str, list[float]] = {"spin": [], "test_and_sleep": []}
        for _ in range(5):
            for waiting in (Waiting(spin=True), Waiting(spin=False)):
                samples[waiting.kind] += half_round_trips(comm, waiting, size, 40)
        for kind, seconds in samples.items():
            low, middle, high = np.percentile(seconds, [25, 50, 75])
            rows.append([size, kind, len(seconds), low, middle, high])
    if comm.rank == 0:
        print("RESULT" + json.dumps(rows))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
