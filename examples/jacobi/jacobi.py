"""A workload that is no neural network: Jacobi iterations for Poisson's equation on a square.

``python -m harness run examples/jacobi/jacobi.toml``, then
``python -m plots scaling results/jacobi.csv``.
"""

import numpy as np
from mpi4py import MPI


class Jacobi:
    """-laplace(u) = 1 on the unit square, u = 0 on its edge; each rank has a band of rows."""

    version = 1

    def setup(self, comm, parameters):
        self.comm, n = comm, parameters["size"]
        self.iterations, self.step = parameters["iterations"], 1.0 / (n + 1)
        rows = n * (comm.rank + 1) // comm.size - n * comm.rank // comm.size
        self.u = np.zeros((rows + 2, n + 2))  # with a row of each neighbour
        self.above = comm.rank - 1 if comm.rank else MPI.PROC_NULL
        self.below = comm.rank + 1 if comm.rank + 1 < comm.size else MPI.PROC_NULL

    def run(self):
        u, comm = self.u, self.comm
        u[:] = 0.0
        for _ in range(self.iterations):
            comm.Sendrecv(u[1], self.above, recvbuf=u[-1], source=self.below)
            comm.Sendrecv(u[-2], self.below, recvbuf=u[0], source=self.above)
            around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
            change = around / 4 + self.step**2 / 4 - u[1:-1, 1:-1]
            u[1:-1, 1:-1] += change
        return {"last_change": comm.allreduce(float(np.abs(change).max()), MPI.MAX)}

    def teardown(self):
        del self.u
