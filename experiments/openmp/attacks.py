"""The attack itself, by threads inside a process and by processes beside each other.

Every process attacks a minibatch of its own, as the study's generators do, with so many intra-op
threads. One process with t threads is the study's "let PyTorch use all cores"; p processes with one
thread each are its scheme, without its messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from experiments.openmp.gradients import errors, within
from experiments.openmp.rounds import Together, Way, rounds, warm_up
from kernels.threads import intra_op
from sparring import data, networks
from sparring.attacks import GradientAscent

if TYPE_CHECKING:
    from mpi4py import MPI

_CHECKED = 16


class AttackPart:
    """Attacks of both backends on every rank at once."""

    def __init__(self, comm: MPI.Intracomm, parameters: dict[str, Any]) -> None:
        self.comm, self.threads = comm, int(parameters["threads_per_process"])
        self.batch_size, self.steps = (
            int(parameters["batch_size"]),
            int(parameters["adversary_steps"]),
        )
        split = data.load(str(parameters["dataset"]), normalize=True).train
        images = [(comm.rank * self.batch_size + n) % len(split) for n in range(self.batch_size)]
        self.x = torch.from_numpy(split.images(images))
        self.labels = torch.from_numpy(split.labels(images))
        self.model = networks.build("study", int(parameters["seed"]))
        exact = networks.build("study", int(parameters["seed"]), torch.float64)
        x, labels = self.x[:_CHECKED], self.labels[:_CHECKED]
        self._before = x.double()
        step = GradientAscent(steps=1, backend="torch")(exact, self._before, labels)
        self._expected = step - self._before
        self._errors = {name: self._checked(name) for name in ("torch", "fused")}

    def measure(self, count: int, seed: int, warmup: bool) -> list[dict[str, Any]]:
        """So many rounds; seconds are the slowest rank's."""
        together = Together(self._barrier, lambda value: float(max(self.comm.allgather(value))))
        ways = [self._way(name) for name in self._errors]
        warm_up(ways, together)
        return rounds(ways, count, int(self.comm.bcast(seed)), together)

    def _barrier(self) -> None:
        self.comm.Barrier()

    def _checked(self, name: str) -> float:
        attack = GradientAscent(steps=1, backend=name)
        found = attack(self.model, self.x[:_CHECKED], self.labels[:_CHECKED])
        return within(name, errors(found.double() - self._before, self._expected))

    def _way(self, name: str) -> Way:
        attack = GradientAscent(steps=self.steps, backend=name)

        def run() -> None:
            with intra_op(self.threads):
                attack(self.model, self.x, self.labels)

        work = self.batch_size * self.steps * self.comm.size
        return Way(
            name, self.threads, run, facts={"image_steps": work, "error": self._errors[name]}
        )
