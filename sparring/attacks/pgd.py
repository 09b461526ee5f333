"""Projected gradient descent, in L-infinity and L2."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb, Step
from sparring.attacks.continued import Further
from sparring.attacks.norms import NORMS, unit, usable
from sparring.attacks.objectives import OBJECTIVES
from sparring.attacks.sources import RandomSource
from sparring.attacks.validation import (
    check_backend,
    check_bounds,
    check_choice,
    check_count,
    check_flag,
    check_number,
    check_pixels,
    settle,
)
from sparring.logits import right


@dataclass(frozen=True)
class PGD(Attack):
    """Steps along the steepest direction of a norm, each followed by projection on its ball.

    Every step goes ``step_size`` along the sign of the gradient (L-infinity) or along the
    gradient divided by its length (L2), then back to the ball of radius epsilon around x, then
    into the bounds. The last cannot leave the ball again, since x is within the bounds.

    Sources: Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards Deep Learning Models Resistant to
    Adversarial Attacks", ICLR 2018, section 3; momentum: Dong and others, "Boosting Adversarial
    Attacks with Momentum", CVPR 2018, algorithm 1 and, for L2, section 3.3.

    Attributes:
        epsilon: radius of the ball, in the units of x; 0 or more.
        step_size: length of a step in the ball's norm, in the units of x; above 0.
        steps: gradient steps of each restart, 1 or more.
        norm: ``"linf"`` or ``"l2"``.
        random_start: whether to begin at a point drawn uniformly from the ball instead of at x.
        restarts: independent random starts, 1 or more. Of each image the best adversary is kept:
            one that fools the model before one that does not (Croce and Hein, "Reliable
            evaluation of adversarial robustness", ICML 2020: a point is robust only if it holds
            against every attempt), then the one of highest objective; the first of equals.
        momentum: decay of the accumulated gradient, 0 or more; each gradient is divided by its
            L1 norm before it is added.
        targeted: if true, y is the class wanted, and the objective is made small.
        objective: ``"cross_entropy"``, ``"margin"`` or ``"study"``.
        bounds: the valid pixel range (low, high), in the units of x.
        backend: see `Attack`.

    Raises:
        ValueError: if a field is out of its range, and when called with x outside the bounds.
    """

    epsilon: float = 0.3
    step_size: float = 0.01
    steps: int = 40
    norm: str = "linf"
    random_start: bool = False
    restarts: int = 1
    momentum: float = 0.0
    targeted: bool = False
    objective: str = "cross_entropy"
    bounds: tuple[float, float] = (0.0, 1.0)
    backend: str = "auto"

    def __post_init__(self) -> None:
        settle(
            self,
            epsilon=check_number("epsilon", self.epsilon),
            step_size=check_number("step_size", self.step_size, positive=True),
            steps=check_count("steps", self.steps),
            random_start=check_flag("random_start", self.random_start),
            restarts=check_count("restarts", self.restarts),
            momentum=check_number("momentum", self.momentum),
            targeted=check_flag("targeted", self.targeted),
            bounds=check_bounds(self.bounds),
        )
        check_choice("norm", self.norm, NORMS)
        if self.restarts > 1 and not self.random_start:
            raise ValueError(
                "restarts must be 1 where random_start is false, since all would end alike, "
                f"not {self.restarts}"
            )
        check_choice("objective", self.objective, OBJECTIVES)
        check_backend(self.backend)

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        check_pixels(x, self.bounds)
        best = self._ascend(climb, x, self._start(x, source))
        if self.restarts == 1:
            return best
        best_fooled, best_height = self._judge(climb, best)
        for _ in range(1, self.restarts):
            x_adv = self._ascend(climb, x, self._start(x, source))
            fooled, height = self._judge(climb, x_adv)
            better = (fooled & ~best_fooled) | ((fooled == best_fooled) & (height > best_height))
            best[better] = x_adv[better]
            best_fooled = torch.where(better, fooled, best_fooled)
            best_height = torch.where(better, height, best_height)
        return best

    def further(self, start: Tensor, steps: int, scale: float) -> Further:
        """See `Attack`; one run, whose momentum begins anew."""
        rest = replace(self, steps=steps, step_size=scale * self.step_size)

        def ascend(climb: Climb, x: Tensor, x_adv: Tensor) -> Tensor:
            check_pixels(x, self.bounds)
            return rest._ascend(climb, x, x_adv)

        return Further(ascend, start, steps, self.backend)

    def _start(self, x: Tensor, source: RandomSource) -> Tensor:
        if not self.random_start:
            return x
        return self._step().confine(NORMS[self.norm].start(x, self.epsilon, source), x)

    def _ascend(self, climb: Climb, x: Tensor, x_adv: Tensor) -> Tensor:
        """One run from ``x_adv``."""
        step = self._step()
        if not self.momentum:
            return climb.ascend(x_adv, x, step, self.steps)
        velocity = torch.zeros_like(x)
        for _ in range(self.steps):
            slope = unit(climb.gradient(x_adv, step.function), 1)
            velocity, _ = usable(self.momentum * velocity + slope)  # finite also as it grows
            x_adv = step.take(x_adv, x, velocity)
        return x_adv

    def _step(self) -> Step:
        size = -self.step_size if self.targeted else self.step_size
        surrogate = OBJECTIVES[self.objective].surrogate
        rule = "sign" if self.norm == "linf" else "l2"
        return Step(rule, surrogate, size, self.epsilon, self.bounds)

    def _judge(self, climb: Climb, x_adv: Tensor) -> tuple[Tensor, Tensor]:
        """For each image: does it fool the model, and how high did the objective get?"""
        logits = climb.logits(x_adv)
        hit = right(logits, climb.y)
        height = OBJECTIVES[self.objective].surrogate(logits, climb.y)
        height = -height if self.targeted else height
        # A not-a-number would win or lose by chance: it loses.
        return hit if self.targeted else ~hit, height.nan_to_num(nan=-math.inf)
