"""The competitors: one attack, as each library's users run it.

All get the same model in eval mode, its parameters as training left them (requiring gradients).
What a library does with that is its own: torchattacks asks for the images' gradient only, Foolbox
and ART run a whole backward pass.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.attacks import PGD
from sparring.benchmark import backends
from sparring.benchmark.plan import Numbers
from sparring.benchmark.worker import AbsentError

#: From images and labels to adversaries.
Run = Callable[[Tensor, Tensor], Tensor]
#: From a number of steps to what runs them.
Prepare = Callable[[int], Run]


@dataclass(frozen=True)
class Competitor:
    """How to get a competitor going.

    Attributes:
        package: the distribution whose version counts.
        backend: what computes.
        build: from the model and the attack's numbers to `Prepare`.
    """

    package: str
    backend: str
    build: Callable[[nn.Module, Numbers], Prepare]

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


def _sparring(backend: str) -> Callable[[nn.Module, Numbers], Prepare]:
    def build(model: nn.Module, numbers: Numbers) -> Prepare:
        if backend == "fused" and not backends.supported():
            raise AbsentError("this version of Sparring has no fused engine")

        def prepare(steps: int) -> Run:
            attack = backends.build(PGD, backend, steps=steps, **pgd_settings(numbers))
            return lambda x, y: attack(model, x, y)

        return prepare

    return build


def pgd_settings(numbers: Numbers) -> dict[str, Any]:
    """The attack's numbers as `sparring.PGD` takes them."""
    return {
        "epsilon": numbers.epsilon, "step_size": numbers.step_size, "norm": "linf",
        "random_start": False, "bounds": (numbers.low, numbers.high),
    }  # fmt: skip


def _plain(model: nn.Module, numbers: Numbers) -> Prepare:
    """The loop that most papers' code has, in train-and-forget style: ``loss.backward()``."""

    def prepare(steps: int) -> Run:
        def run(x: Tensor, y: Tensor) -> Tensor:
            adversaries = x.clone()
            for _ in range(steps):
                adversaries.requires_grad_(True)
                loss = F.cross_entropy(model(adversaries), y)
                model.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                assert adversaries.grad is not None
                with torch.no_grad():
                    adversaries = adversaries + numbers.step_size * adversaries.grad.sign()
                    delta = torch.clamp(adversaries - x, -numbers.epsilon, numbers.epsilon)
                    adversaries = torch.clamp(x + delta, numbers.low, numbers.high)
            return adversaries.detach()

        return run

    return prepare


def _compile(model: nn.Module, numbers: Numbers) -> Prepare:
    """A whole step as one compiled graph; every batch size is compiled for itself."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    # One graph for each batch size; the default allows eight.
    dynamo: Any = importlib.import_module("torch._dynamo")
    dynamo.config.recompile_limit = 1000

    def loss(adversaries: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(adversaries), y, reduction="sum")

    def step(adversaries: Tensor, x: Tensor, y: Tensor) -> Tensor:
        gradient = torch.func.grad(loss)(adversaries, y)
        adversaries = adversaries + numbers.step_size * gradient.sign()
        delta = torch.clamp(adversaries - x, -numbers.epsilon, numbers.epsilon)
        return torch.clamp(x + delta, numbers.low, numbers.high)

    # fullgraph: what cannot be compiled is a failure, and no reason to time something else.
    compiled: Callable[[Tensor, Tensor, Tensor], Tensor] = torch.compile(
        step, dynamic=False, fullgraph=True
    )

    def prepare(steps: int) -> Run:
        def run(x: Tensor, y: Tensor) -> Tensor:
            adversaries = x
            for _ in range(steps):
                adversaries = compiled(adversaries, x, y)
            return adversaries

        return run

    return prepare


def _torchattacks(model: nn.Module, numbers: Numbers) -> Prepare:
    library: Any = importlib.import_module("torchattacks")

    def prepare(steps: int) -> Run:
        attack = library.PGD(
            model, eps=numbers.epsilon, alpha=numbers.step_size, steps=steps, random_start=False
        )

        def run(x: Tensor, y: Tensor) -> Tensor:
            found: Tensor = attack(x, y)
            return found

        return run

    return prepare


def _foolbox(model: nn.Module, numbers: Numbers) -> Prepare:
    """``run``, which only attacks; calling the attack would also classify and measure."""
    library: Any = importlib.import_module("foolbox")
    wrapped = library.PyTorchModel(model, bounds=(numbers.low, numbers.high), device="cpu")

    def prepare(steps: int) -> Run:
        attack = library.attacks.LinfProjectedGradientDescentAttack(
            abs_stepsize=numbers.step_size, steps=steps, random_start=False
        )

        def run(x: Tensor, y: Tensor) -> Tensor:
            found: Tensor = attack.run(wrapped, x, y, epsilon=numbers.epsilon)
            return found

        return run

    return prepare


def _art(model: nn.Module, numbers: Numbers) -> Prepare:
    """``generate`` takes and gives NumPy arrays, and always classifies what it found."""
    evasion: Any = importlib.import_module("art.attacks.evasion")
    estimators: Any = importlib.import_module("art.estimators.classification")
    classifier = estimators.PyTorchClassifier(
        model, loss=nn.CrossEntropyLoss(), input_shape=(1, 28, 28), nb_classes=10,
        clip_values=(numbers.low, numbers.high), device_type="cpu",
    )  # fmt: skip

    def prepare(steps: int) -> Run:
        def run(x: Tensor, y: Tensor) -> Tensor:
            attack = evasion.ProjectedGradientDescentPyTorch(
                classifier, norm="inf", eps=numbers.epsilon, eps_step=numbers.step_size,
                max_iter=steps, num_random_init=0, batch_size=len(x), verbose=False,
            )  # fmt: skip
            return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

        return run

    return prepare


#: How each name of `sparring.benchmark.plan.COMPETITORS` is got going.
BUILDERS: Mapping[str, Competitor] = MappingProxyType(
    {
        "fused": Competitor("sparring", "fused", _sparring("fused")),
        "sparring": Competitor("sparring", "torch", _sparring("torch")),
        "plain": Competitor("torch", "torch", _plain),
        "compile": Competitor("torch", "inductor", _compile),
        "torchattacks": Competitor("torchattacks", "torch", _torchattacks),
        "foolbox": Competitor("foolbox", "torch", _foolbox),
        "art": Competitor("adversarial-robustness-toolbox", "torch", _art),
    }
)
