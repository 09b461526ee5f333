"""Rank program of test_shared_memory: strategies where a node has little memory to share."""

from __future__ import annotations

import json
import logging

from mpi4py import MPI
from rank_program import run
from strategy_ranks import Bookkeeping

from sparring.strategies import DataParallel, Pipeline, Run, Sharded, node_memory

CASES = {
    "data_parallel": DataParallel(),
    "data_parallel, insisting": DataParallel(reduction="shared_memory"),
    "sharded": Sharded(),
    "sharded, insisting": Sharded(broadcast="shared_memory"),
    "pipeline": Pipeline(weights="window"),
}


def main() -> None:
    comm = MPI.COMM_WORLD
    told = []
    logging.getLogger("sparring").addHandler(handler := logging.Handler())
    handler.emit = lambda record: told.append(record.getMessage())
    # Enough for a window of two rows, of 100,000 float32 each, if the MPI library wants no more.
    node_memory._free_bytes = lambda: 2 * 400_000 if comm.rank == 0 else None
    facts = {}
    for name, strategy in CASES.items():
        compute = Bookkeeping(comm.rank, 0.0, steps=1)
        error = ""
        try:
            strategy.train(Run(comm, compute, 3, patience_seconds=30))
        except node_memory.NoRoomError as refusal:
            error = str(refusal)
        facts[name] = {"error": error, "told": told[:], "final": float(compute.weights[0])}
        told.clear()
    gathered = comm.gather(facts)
    if comm.rank == 0:
        print("FACTS" + json.dumps(gathered))


if __name__ == "__main__":
    run(main)
