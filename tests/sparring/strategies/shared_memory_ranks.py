"""Rank program of test_shared_memory: sums and broadcasts on one node, and on two made-up ones.

``nodes`` parts the ranks of this machine, so that messages between nodes are tested, too.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from mpi4py import MPI
from rank_program import run

from sparring.errors import SparringError
from sparring.strategies.broadcast import MessageBroadcast, SharedBroadcast
from sparring.strategies.reduction import MessageReduction, SharedReduction
from sparring.strategies.waiting import Waiting

COUNT, ROUNDS = 1001, 20


class Nodes(MPI.Intracomm):
    """A communicator whose ranks believe that they are on as many nodes as there are names."""

    names: str

    def Split_type(self, *_):  # noqa: N802
        return self.Split(ord(self.names[self.rank]), self.rank)


def main(names: str) -> None:
    comm = Nodes(MPI.COMM_WORLD)
    Nodes.names = names
    waiting = Waiting(spin=False, patience_seconds=30)
    facts = {"sums": [], "seen": []}
    try:
        for kind in (MessageReduction, SharedReduction):
            reduction = kind(comm, COUNT, np.float32, waiting)
            digests = []
            for number in range(ROUNDS):
                random = np.random.default_rng((number, comm.rank))
                reduction.own[:] = random.standard_normal(COUNT, np.float32)
                exact = sum(
                    np.random.default_rng((number, rank)).standard_normal(COUNT, np.float32)
                    for rank in range(comm.size)
                )
                reduction.reduce("all")
                np.testing.assert_allclose(reduction.total, exact, rtol=1e-5, atol=1e-5)
                digests.append(reduction.total.tobytes().hex())
            facts["sums"].append(len(set(comm.allgather(tuple(digests)))))
            reduction.close()
        for kind in (MessageBroadcast, SharedBroadcast):
            broadcast = kind(comm, COUNT, np.float64, waiting)
            for number in range(ROUNDS):
                if comm.rank == 0:
                    broadcast.outgoing[:] = number
                seen = broadcast.share("rank 0")
                facts["seen"].append(bool((seen == number).all()))
                # Whoever reads slowly must still read the same: rank 0 writes the next meanwhile.
                if comm.rank == 0:
                    broadcast.outgoing[:] = -1
                elif number % 3 == comm.rank % 3:
                    MPI.COMM_SELF.Barrier()
                    facts["seen"].append(kind is MessageBroadcast or bool((seen == number).all()))
            broadcast.close()
    except SparringError as error:
        facts["error"] = str(error)
    gathered = MPI.COMM_WORLD.gather(facts)
    if comm.rank == 0:
        print("FACTS" + json.dumps(gathered))


if __name__ == "__main__":
    run(main, sys.argv[1])
