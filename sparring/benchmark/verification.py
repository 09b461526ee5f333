"""No competitor is timed that does not do the same work: what it found is checked first."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.attacks import PGD
from sparring.benchmark.attacking import pgd_settings
from sparring.benchmark.plan import ATTACK, UPDATE, Numbers
from sparring.benchmark.problem import Problem

#: How far rounding may carry a pixel out of the ball or the bounds.
TOLERANCE = 1e-5
#: The share of the reference's mean loss that an attack must reach.
LOSS_SHARE = 0.97
#: How far its success rate may stay behind the reference's; one image is always allowed.
SUCCESS_BEHIND = 0.02
#: Adversaries of small batches are checked together, so that no single image decides.
FEWEST_IMAGES = 16
#: How far an update's gradients may be from those of float64, in norm and relative to them.
GRADIENT_ERROR = 1e-3
#: How far the loss after the update may be from float64's, relative to what the update changed.
CHANGE_ERROR = 0.01

#: What a competitor found with one batch: ``images`` and, of training, ``gradients``, ``weights``.
Found = Mapping[str, Tensor]


@dataclass(frozen=True)
class Strength:
    """How strong adversaries are, and what an update on them does.

    Attributes:
        loss: mean cross-entropy in float64.
        success_rate: share of the images that the network gets wrong.
        gradient_error: distance of the gradients from float64's, relative; None where there are
            none.
        loss_after: mean cross-entropy in float64 after one update on each batch, each from the
            same weights.
    """

    loss: float
    success_rate: float
    gradient_error: float | None = None
    loss_after: float | None = None


class WrongAttackError(Exception):
    """What is wrong with what a competitor found."""


class Judge:
    """Checks adversaries against those of Sparring's own attack on PyTorch, updates by float64.

    Args:
        problem: the network and images attacked.
        numbers: the attack and the optimizer.
    """

    def __init__(self, problem: Problem, numbers: Numbers) -> None:
        self._problem, self._numbers = problem, numbers
        self._exact = copy.deepcopy(problem.model).double().eval()
        self._references: dict[int, tuple[Tensor, Tensor]] = {}

    def images_for(self, batch_size: int) -> int:
        """How many images an attack in batches of this size is checked on."""
        several = math.ceil(FEWEST_IMAGES / batch_size) * batch_size
        return min(max(batch_size, several), len(self._problem.images) // batch_size * batch_size)

    def judge(self, task: str, found: Sequence[Found], steps: int) -> Strength:
        """The strength of what was found with the first images, batch by batch.

        Raises:
            WrongAttackError: if it is no result of the task asked for.
        """
        images = torch.cat([batch["images"] for batch in found])
        if task == UPDATE:
            losses, wrong = self._judged(images)
            strength = Strength(float(losses.mean()), float(wrong.double().mean()))
        else:
            strength = self.check(images, steps)
        if task == ATTACK:
            return strength
        return replace(strength, **self._check_updates(found))

    def _check_updates(self, found: Sequence[Found]) -> dict[str, float]:
        """Check updates, each on a batch and from the same weights, all together.

        One batch alone may have next to no gradient, and then no float32 has it right.

        Raises:
            WrongAttackError: if the gradients or the weights after the updates are wrong.
        """
        apart, norm, start = 0.0, 0.0, 0
        losses = torch.zeros(3, dtype=torch.float64)
        for batch in found:
            exact, before, wanted, new = self._exact_update(batch, start)
            apart += float((batch["gradients"].double() - exact).square().sum())
            norm += float(exact.square().sum())
            losses += torch.tensor([before, wanted, new], dtype=torch.float64) / len(found)
            start += len(batch["images"])
        error = math.sqrt(apart / norm) if norm else math.inf
        if not error <= GRADIENT_ERROR:
            raise WrongAttackError(
                f"the updates' gradients are {error:.2g} from those of float64, relative; expected "
                f"at most {GRADIENT_ERROR:g}"
            )
        before, wanted, new = losses.tolist()
        if not abs(new - wanted) <= CHANGE_ERROR * abs(before - wanted) + 1e-6 * before:
            raise WrongAttackError(
                f"the loss after the update is {new:.6f}, of float64 {wanted:.6f}; before it was "
                f"{before:.6f}"
            )
        return {"gradient_error": error, "loss_after": new}

    def _exact_update(self, batch: Found, start: int) -> tuple[Tensor, float, float, float]:
        """Gradients of the images from ``start``; loss before, after, and as found, in float64.

        Raises:
            WrongAttackError: if gradients or weights are not as many.
        """
        x, model = batch["images"].double(), self._exact
        y = self._problem.labels[start : start + len(x)]
        parameters = dict(model.named_parameters())
        first = torch.cat([parameter.detach().flatten() for parameter in parameters.values()])
        sizes = [parameter.numel() for parameter in parameters.values()]

        def loss(weights: Tensor) -> Tensor:
            parts = zip(parameters.items(), torch.split(weights, sizes), strict=True)
            named = {name: part.view_as(parameter) for (name, parameter), part in parts}
            return F.cross_entropy(torch.func.functional_call(model, named, (x,)), y)

        for name in ("gradients", "weights"):
            if batch[name].shape != first.shape:
                raise WrongAttackError(f"{name} are {tuple(batch[name].shape)}, expected "
                                       f"{tuple(first.shape)}")  # fmt: skip
        weights = first.clone().requires_grad_()
        before = loss(weights)
        (exact,) = torch.autograd.grad(before, weights)
        with torch.no_grad():
            wanted = loss(first - self._numbers.learning_rate * exact).item()
            new = loss(batch["weights"].double()).item()
        return exact, before.item(), wanted, new

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
        if not found.loss >= LOSS_SHARE * wanted.loss:
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
            attack = PGD(steps=steps, backend="torch", **pgd_settings(self._numbers))
            problem = self._problem
            pairs = zip(
                torch.split(problem.images, 256), torch.split(problem.labels, 256), strict=True
            )
            found = [
                self._judged(attack(problem.model, x, y), 256 * number)
                for number, (x, y) in enumerate(pairs)
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
