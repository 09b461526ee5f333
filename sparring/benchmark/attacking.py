"""Competitors that attack: one attack, as each library's users run it.

All get the same model in eval mode, its parameters as training left them: requiring gradients. What
a library does with that is its own. Sparring and torchattacks ask for the images' gradient only;
the plain loop, Foolbox and ART run a whole backward pass, which also computes the parameters'. The
compiled step freezes the parameters. What can be made once (an attack, a classifier) is made once,
before anything is timed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.attacks import PGD
from sparring.benchmark.plan import Numbers

#: From images and labels to adversaries.
Run = Callable[[Tensor, Tensor], Tensor]
#: From a number of steps to what runs them.
Prepare = Callable[[int], Run]


def of_sparring(backend: str) -> Callable[[nn.Module, Numbers], Prepare]:
    """Sparring's own attack on a backend."""

    def build(model: nn.Module, numbers: Numbers) -> Prepare:
        def prepare(steps: int) -> Run:
            attack = PGD(steps=steps, backend=backend, **pgd_settings(numbers))
            return lambda x, y: attack(model, x, y)

        return prepare

    return build


def pgd_settings(numbers: Numbers) -> dict[str, Any]:
    """The attack's numbers as `sparring.PGD` takes them."""
    return {
        "epsilon": numbers.epsilon, "step_size": numbers.step_size, "norm": "linf",
        "random_start": False, "bounds": (numbers.low, numbers.high),
    }  # fmt: skip


def of_plain(model: nn.Module, numbers: Numbers) -> Prepare:
    """The loop that papers' code has."""
    return lambda steps: lambda x, y: plain_attack(model, x, y, numbers, steps)


def plain_attack(model: nn.Module, x: Tensor, y: Tensor, numbers: Numbers, steps: int) -> Tensor:
    """PGD in a few lines, by ``loss.backward()`` as in Wong, Rice and Kolter's fast_adversarial.

    Each step then also computes the parameters' gradients, and throws them away.
    """
    adversaries = x.clone()
    for _ in range(steps):
        adversaries.requires_grad_(True)
        loss = F.cross_entropy(model(adversaries), y)
        loss.backward()  # type: ignore[no-untyped-call]
        assert adversaries.grad is not None
        adversaries = adversaries.detach() + numbers.step_size * adversaries.grad.sign()
        delta = torch.clamp(adversaries - x, -numbers.epsilon, numbers.epsilon)
        adversaries = torch.clamp(x + delta, numbers.low, numbers.high)
    model.zero_grad()
    return adversaries


def of_compile(model: nn.Module, numbers: Numbers) -> Prepare:
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


def of_torchattacks(model: nn.Module, numbers: Numbers) -> Prepare:
    """Its PGD, without the random start that is its default."""
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


def of_foolbox(model: nn.Module, numbers: Numbers) -> Prepare:
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


def of_art(model: nn.Module, numbers: Numbers) -> Prepare:
    """``generate`` takes and gives NumPy arrays, and always classifies what it found."""
    evasion: Any = importlib.import_module("art.attacks.evasion")
    estimators: Any = importlib.import_module("art.estimators.classification")
    classifier = estimators.PyTorchClassifier(
        model, loss=nn.CrossEntropyLoss(), input_shape=(1, 28, 28), nb_classes=10,
        clip_values=(numbers.low, numbers.high), device_type="cpu",
        preprocessing=None,  # the default subtracts 0 and divides by 1 in every step
    )  # fmt: skip

    @cache
    def attack(steps: int, batch_size: int) -> Any:
        return evasion.ProjectedGradientDescentPyTorch(
            classifier, norm="inf", eps=numbers.epsilon, eps_step=numbers.step_size,
            max_iter=steps, num_random_init=0, batch_size=batch_size, verbose=False,
        )  # fmt: skip

    def prepare(steps: int) -> Run:
        def run(x: Tensor, y: Tensor) -> Tensor:
            return torch.from_numpy(attack(steps, len(x)).generate(x.numpy(), y.numpy()))

        return run

    return prepare
