"""Train with strategies and tell what each rank held in memory and did (a rank program)."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import psutil
from mpi4py import MPI

from experiments.training import Training


class Sampler(threading.Thread):
    """Samples this process's resident memory in bytes, 20 times a second, until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stopped = threading.Event()
        self.samples: list[int] = []

    def run(self) -> None:
        """Sample."""
        process = psutil.Process()
        while not self._stopped.wait(0.05):
            self.samples.append(process.memory_info().rss)

    def stop(self) -> None:
        """End the sampling."""
        self._stopped.set()
        self.join()


def train(comm: MPI.Intracomm, job: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Train once; on rank 0, for each rank, memory over time, batches and counters."""
    workload = Training()
    workload.setup(comm, job)
    workload.prepare(False)
    sampler = Sampler()
    comm.Barrier()
    sampler.start()
    began = time.perf_counter()
    workload.run()
    seconds = time.perf_counter() - began
    sampler.stop()
    log = workload.log
    facts = {
        "seconds": seconds,
        "memory": sampler.samples,
        "role": log.role,
        "batches": log.batches,
        "counters": dict(log.counters),
        "bytes_sent": log.bytes_sent,
        "generators": [record.generator for record in log.records],
    }
    workload.teardown()
    return comm.gather(facts)


def main(jobs: list[dict[str, Any]]) -> None:
    """Train by each job in turn, on the same ranks; rank 0 prints what `train` told of each."""
    comm = MPI.COMM_WORLD
    told = [train(comm, job) for job in jobs]
    if comm.rank == 0:
        print("RESULT" + json.dumps(told))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
