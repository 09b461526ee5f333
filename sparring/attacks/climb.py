"""The gradient by which attacks climb: a model's logits, slopes, and steps along them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.memory_format import Forward
from sparring.attacks.norms import NORMS, usable
from sparring.attacks.objectives import Function
from sparring.attacks.validation import check_logits
from sparring.logits import logits_of

log = logging.getLogger(__name__)

#: The norm behind a step's rule.
_NORMS = {"sign": NORMS["linf"], "l2": NORMS["l2"]}

#: Called with the number of a gradient step just before it, counted from 0 over the whole call.
OnStep = Callable[[int], None]


@dataclass(frozen=True)
class Step:
    """A step along the gradient, and back into what the attack allows.

    Attributes:
        rule: ``"sign"`` (``x + size sign(g)``), ``"l2"`` (``x + size g / |g|``) or ``"raw"``
            (``x + size g``).
        function: what is ascended.
        size: see ``rule``; negative to descend.
        epsilon: radius of the ball about the clean images, infinite for none; in the largest
            pixel difference for ``"sign"``, in Euclidean length for ``"l2"``, unused for ``"raw"``.
        bounds: the pixel range, to which every step is clamped.
    """

    rule: str
    function: Function
    size: float
    epsilon: float
    bounds: tuple[float, float]

    def take(self, x_adv: Tensor, x: Tensor, gradient: Tensor) -> Tensor:
        """The images after one step from ``x_adv`` along a finite gradient."""
        if self.rule == "raw":
            return x_adv.add(gradient, alpha=self.size).clamp_(*self.bounds)
        return self.confine(x_adv + self.size * _NORMS[self.rule].direction(gradient), x)

    def confine(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The images back in the ball about ``x``, and then in the bounds."""
        return _NORMS[self.rule].project(x_adv, x, self.epsilon).clamp(*self.bounds)


class Climb:
    """One attack's view of the model: logits, and gradients with respect to images.

    Args:
        model: the attacked model, already frozen, or what computes its logits.
        y: int64 labels ``(n,)``.
        on_step, every: see ``Attack.__call__``.

    Attributes:
        unusable: bool ``(n,)``: images whose gradient was not finite in some step; None before
            one was looked at.
    """

    def __init__(self, model: Forward, y: Tensor, on_step: OnStep | None, every: int) -> None:
        self.model, self.y = model, y
        self.unusable: Tensor | None = None
        self._on_step, self._every = on_step, every
        self._steps = 0

    def ascend(self, x_adv: Tensor, x: Tensor, step: Step, steps: int) -> Tensor:
        """The images after so many steps from ``x_adv``."""
        for _ in range(steps):
            x_adv = step.take(x_adv, x, self.gradient(x_adv, step.function))
        return x_adv

    def logits(self, x: Tensor, which: Tensor | None = None) -> Tensor:
        """The model's logits ``(n, classes)``; ``which``: of these images alone, bool ``(n,)``."""
        logits = logits_of(self.model, x)
        check_logits(logits, self.y if which is None else self.y[which])
        return logits

    def gradient(self, x: Tensor, function: Function) -> Tensor:
        """The gradient of each image's function value with respect to the image; one step.

        Where it was not finite, it is what `sparring.attacks.norms.usable` makes of it.
        """
        self._look()
        self._steps += 1
        return self._usable(self._slope(x, self.y, function), slice(None))

    def _look(self) -> None:
        """Let the caller write newer weights, if it is time."""
        if self._on_step is not None and self._steps % self._every == 0:
            self._on_step(self._steps)

    def _slope(self, x: Tensor, y: Tensor, function: Function) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logits = self.logits(x)
            gradient = None
            if logits.requires_grad:
                # A sum, so that each image's gradient is its own, whatever the batch.
                (gradient,) = torch.autograd.grad(function(logits, y).sum(), x, allow_unused=True)
        if gradient is None:
            raise ValueError(
                "the model must be differentiable in its input, but its logits are not"
            )
        return gradient

    def _usable(self, gradient: Tensor, which: slice | Tensor) -> Tensor:
        """The gradient of the images ``which``, finite; remembers which of them was not."""
        gradient, bad = usable(gradient)
        if self.unusable is None:
            self.unusable = torch.zeros_like(self.y, dtype=torch.bool)
        self.unusable[which] |= bad
        return gradient

    def tell(self) -> None:
        """Say which images had no usable gradient, if any, and what was done."""
        if self.unusable is None or not bool(self.unusable.any()):
            return
        numbers = self.unusable.nonzero().flatten().tolist()
        shown = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
        log.warning(
            "%d of %d images had gradients that are not finite (numbers %s): pixels stayed where "
            "the gradient was no number, and moved by its largest finite entry where it was "
            "infinite",
            len(numbers), len(self.y), shown,
        )  # fmt: skip
