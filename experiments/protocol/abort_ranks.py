"""Rank 1 says something, waits, and aborts (a rank program)."""

from __future__ import annotations

import json
import sys
import time

from mpi4py import MPI


def main(job: dict[str, float]) -> None:
    """Abort after a pause; the other rank sleeps."""
    comm = MPI.COMM_WORLD
    comm.Barrier()
    if comm.rank == 1:
        print("SAID", file=sys.stderr, flush=True)
        time.sleep(job["pause_seconds"])
        comm.Abort(1)
    time.sleep(30)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
