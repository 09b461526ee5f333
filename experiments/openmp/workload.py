"""The workload of the OpenMP study: threads inside operators, between them, and processes.

A repetition is some rounds, in each of which every way to do the same work is timed once; its rows
are in the table of details. The repetition's own time is only how long that took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

from experiments.openmp import chains as openmp_chains
from experiments.openmp.attacks import AttackPart
from experiments.openmp.chains import ChainPart
from experiments.openmp.gradients import GradientPart

if TYPE_CHECKING:
    from mpi4py import MPI

PARTS = ("chains", "gradient", "attack")


class Part(Protocol):
    """One comparison."""

    def measure(self, count: int, seed: int, warmup: bool) -> list[dict[str, Any]]:
        """So many rounds, a row for each time that was taken."""


class OpenMP:
    """One comparison of the chapter, by the parameter ``part``.

    ``chains``
        Products of chains of matrices (``shapes``, see `openmp_chains.chains_of`).
    ``gradient``
        The input gradient of images, in batches of ``batch_sizes``.
    ``attack``
        The study's attack of ``adversary_steps`` on a batch of ``batch_size`` on every process.

    The first two take all powers of two up to ``threads_per_process`` in one launch, on one
    process; an attack takes ``threads_per_process`` on each.
    """

    version = 1
    modules = ("sparring", "kernels", "experiments.openmp")
    packages = ("numpy", "scipy", "torch")

    @staticmethod
    def check(parameters: dict[str, Any]) -> None:
        """Refuse what cannot be measured.

        Raises:
            ValueError: with one sentence that names the parameter.
        """
        part = parameters.get("part")
        if part not in PARTS:
            raise ValueError(f"part is {part!r}; expected one of {', '.join(PARTS)}")
        _positive(parameters, "rounds")
        if part == "attack":
            _positive(parameters, "batch_size", "adversary_steps")
            return
        if parameters["processes"] != 1:
            raise ValueError(f"processes is {parameters['processes']}; expected 1 where part is "
                             f"{part}, whose threads are compared inside a process")  # fmt: skip
        if part == "gradient":
            words = str(parameters.get("batch_sizes")).split()
            if not words or not all(word.isdecimal() and int(word) for word in words):
                raise ValueError(f"batch_sizes is {parameters.get('batch_sizes')!r}; expected "
                                 "numbers from 1, such as '1 64'")  # fmt: skip
            return
        openmp_chains.check(parameters)

    def setup(self, comm: MPI.Intracomm, parameters: dict[str, Any]) -> None:
        """Make the inputs, and compare what computes on them with float64 once."""
        most = int(parameters["threads_per_process"])
        torch.set_num_threads(most)
        if torch.get_num_interop_threads() != 1:  # may be set only once in a process
            torch.set_num_interop_threads(1)
        self.rounds, self.repetition = int(parameters["rounds"]), 0
        threads = doubling(most)
        self.part: Part
        if parameters["part"] == "chains":
            self.part = ChainPart(parameters, threads)
        elif parameters["part"] == "gradient":
            self.part = GradientPart(parameters, threads)
        else:
            self.part = AttackPart(comm, parameters)

    def prepare(self, warmup: bool) -> None:
        """A warm-up is one round."""
        self.warmup = warmup

    def run(self) -> dict[str, Any]:
        """Measure all rounds of this repetition."""
        count = 1 if self.warmup else self.rounds
        self.found = self.part.measure(count, self.repetition, self.warmup)
        self.repetition += 1
        return {"measurements": len(self.found)}

    def details(self) -> list[dict[str, Any]]:
        """One row for each time that was taken."""
        return self.found

    def teardown(self) -> None:
        """Nothing outlives the process."""


def doubling(most: int) -> list[int]:
    """1, 2, 4 ... and ``most``."""
    found = [1]
    while 2 * found[-1] < most:
        found.append(2 * found[-1])
    return found if most == 1 else [*found, most]


def _positive(parameters: dict[str, Any], *names: str) -> None:
    for name in names:
        value = parameters.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}; expected a number from 1")
