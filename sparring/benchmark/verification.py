"""No competitor is timed that does not do the same work: what it found is checked first."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.attacks import PGD
from sparring.benchmark import backends
from sparring.benchmark.competitors import pgd_settings
from sparring.benchmark.plan import Numbers
from sparring.benchmark.problem import Problem

#: How far rounding may carry a pixel out of the ball or the bounds.
TOLERANCE = 1e-5
#: The share of the reference's mean loss that an attack must reach.
LOSS_SHARE = 0.97
#: How far its success rate may stay behind the reference's; one image is always allowed.
SUCCESS_BEHIND = 0.02
#: Adversaries of small batches are checked together, so that no single image decides.
FEWEST_IMAGES = 16


@dataclass(frozen=True)
class Strength:
    """How strong adversaries are.

    Attributes:
        loss: mean cross-entropy in float64.
        success_rate: share of the images that the network gets wrong.
    """

    loss: float
    success_rate: float


class WrongAttackError(Exception):
    """What is wrong with a competitor's adversaries."""


class Judge:
    """Checks adversaries against those of Sparring's own attack on PyTorch.

    Args:
        problem: the network and images attacked.
        numbers: the attack.
    """

    def __init__(self, problem: Problem, numbers: Numbers) -> None:
        self._problem, self._numbers = problem, numbers
        self._exact = copy.deepcopy(problem.model).double().eval()
        self._references: dict[int, tuple[Tensor, Tensor]] = {}

    def images_for(self, batch_size: int) -> int:
        """How many images an attack in batches of this size is checked on."""
        several = math.ceil(FEWEST_IMAGES / batch_size) * batch_size
        return min(max(batch_size, several), len(self._problem.images) // batch_size * batch_size)

    def check(self, adversaries: Tensor, steps: int) -> Strength:
        """The strength of adversaries of the first images.

        Raises:
            WrongAttackError: if they are no result of the attack asked for.
        """
        numbers, count = self._numbers, len(adversaries)
        x = self._problem.images[:count]
        if adversaries.shape != x.shape or adversaries.dtype != x.dtype:
            raise WrongAttackError(
                f"adversaries are {adversaries.dtype} {tuple(adversaries.shape)}, expected "
                f"{x.dtype} {tuple(x.shape)}"
            )
        if not bool(torch.isfinite(adversaries).all()):
            raise WrongAttackError("some pixels of the adversaries are not finite")
        distance = float((adversaries.double() - x.double()).abs().max())
        if distance > numbers.epsilon + TOLERANCE:
            raise WrongAttackError(
                f"adversaries are up to {distance:.6f} from their images, expected at most "
                f"{numbers.epsilon:g}"
            )
        low, high = float(adversaries.min()), float(adversaries.max())
        if low < numbers.low - TOLERANCE or high > numbers.high + TOLERANCE:
            raise WrongAttackError(
                f"pixels of the adversaries lie in {low:.6f} to {high:.6f}, expected "
                f"{numbers.low:g} to {numbers.high:g}"
            )
        losses, fooled = self._judged(adversaries)
        found = Strength(float(losses.mean()), float(fooled.double().mean()))
        wanted = self.reference(count, steps)
        if found.loss < LOSS_SHARE * wanted.loss:
            raise WrongAttackError(
                f"the adversaries' mean loss is {found.loss:.4f}, that of Sparring's PyTorch "
                f"attack {wanted.loss:.4f}"
            )
        if found.success_rate < wanted.success_rate - max(SUCCESS_BEHIND, 1.001 / count):
            raise WrongAttackError(
                f"{found.success_rate:.3f} of the adversaries fool the network, of Sparring's "
                f"PyTorch attack {wanted.success_rate:.3f}"
            )
        return found

    def reference(self, count: int, steps: int) -> Strength:
        """The strength of Sparring's own adversaries of the first images."""
        if steps not in self._references:
            attack = backends.build(PGD, "torch", steps=steps, **pgd_settings(self._numbers))
            problem = self._problem
            found = [
                self._judged(attack(problem.model, x, y), start)
                for start, (x, y) in _pieces(problem.images, problem.labels)
            ]
            self._references[steps] = (
                torch.cat([losses for losses, _ in found]),
                torch.cat([fooled for _, fooled in found]),
            )
        losses, fooled = self._references[steps]
        return Strength(float(losses[:count].mean()), float(fooled[:count].double().mean()))

    def _judged(self, adversaries: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Each adversary's loss, and whether it fools the network, in float64."""
        labels = self._problem.labels[start : start + len(adversaries)]
        with torch.no_grad():
            logits = torch.cat(
                [self._exact(part) for part in torch.split(adversaries.double(), 256)]
            )
        return F.cross_entropy(logits, labels, reduction="none"), logits.argmax(1) != labels


def _pieces(
    images: Tensor, labels: Tensor, size: int = 256
) -> list[tuple[int, tuple[Tensor, Tensor]]]:
    starts = range(0, len(images), size)
    return [
        (start, (images[start : start + size], labels[start : start + size])) for start in starts
    ]
