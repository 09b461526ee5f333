"""Latency of messages between two ranks, for both ways of waiting (a rank program)."""

from __future__ import annotations

import json
import sys

import numpy as np
from mpi4py import MPI

from sparring.modelling.calibration.messages import half_round_trips
from sparring.strategies.waiting import Waiting


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
