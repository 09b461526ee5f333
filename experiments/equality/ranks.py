"""What each rank of `experiments.equality` runs: train once, rank 0 saves the weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from experiments.training import Training


def main(comm: MPI.Intracomm, chosen: dict[str, Any], output: Path) -> None:
    """Train with the chosen parameters; rank 0 writes the flat weights to ``output`` (.npy).

    ``updates = 0`` leaves the initial weights.
    """
    updates = chosen["updates"]
    workload = Training()
    workload.setup(comm, {**chosen, "updates": max(1, updates)})
    workload.prepare(False)
    if updates > 0:
        workload.run()
    weights = np.empty(workload.compute.weight_count, workload.compute.dtype)
    workload.compute.read_weights(weights)
    if comm.rank == 0:
        np.save(output, weights)


if __name__ == "__main__":
    try:
        main(MPI.COMM_WORLD, json.loads(sys.argv[1]), Path(sys.argv[2]))
    except BaseException:
        import traceback

        traceback.print_exc()
        MPI.COMM_WORLD.Abort(1)
