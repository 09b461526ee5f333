"""The competitors: how each is got going on a task."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from torch import nn

from sparring.benchmark import attacking
from sparring.benchmark.attacking import Prepare
from sparring.benchmark.plan import ATTACK, ITERATION, UPDATE, Numbers
from sparring.benchmark.problem import Problem
from sparring.benchmark.training import PlainTraining, SparringTraining, Training
from sparring.benchmark.worker import AbsentError

#: What trains: from a problem, numbers and steps.
Trains = Callable[[Problem, Numbers, int], Training]


@dataclass(frozen=True)
class Competitor:
    """How to get a competitor going.

    Attributes:
        package: the distribution whose version counts.
        backend: what computes.
        attacks: from the model and the attack's numbers to `Prepare`.
        trains: makes updates, if it can.
    """

    package: str
    backend: str
    attacks: Callable[[nn.Module, Numbers], Prepare]
    trains: Trains | None = None

    @property
    def version(self) -> str:
        """The version of its package.

        Raises:
            AbsentError: if it is not installed.
        """
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise AbsentError("not installed: make peers") from None

    def build(self, task: str, problem: Problem, numbers: Numbers) -> Prepare:
        """From a number of steps to what does the task; called with images and labels.

        Raises:
            AbsentError: if the competitor cannot do it.
        """
        if task == ATTACK:
            return self.attacks(problem.model, numbers)
        if self.trains is None or task not in (UPDATE, ITERATION):
            raise AbsentError(f"makes no {task}")
        return partial(self.trains, problem, numbers)


#: How each name of `sparring.benchmark.plan.COMPETITORS` is got going.
BUILDERS: Mapping[str, Competitor] = MappingProxyType(
    {
        "fused": Competitor("sparring", "fused", attacking.of_sparring("fused"),
                            partial(SparringTraining, "fused")),
        "sparring": Competitor("sparring", "torch", attacking.of_sparring("torch"),
                               partial(SparringTraining, "torch")),
        "plain": Competitor("torch", "torch", attacking.of_plain, PlainTraining),
        "compile": Competitor("torch", "inductor", attacking.of_compile),
        "torchattacks": Competitor("torchattacks", "torch", attacking.of_torchattacks),
        "foolbox": Competitor("foolbox", "torch", attacking.of_foolbox),
        "art": Competitor("adversarial-robustness-toolbox", "torch", attacking.of_art),
    }
)  # fmt: skip
