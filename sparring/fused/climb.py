"""An attack's view of a model that the fused engine computes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor, nn

from sparring.attacks.base import Climb, OnStep, Step
from sparring.attacks.objectives import Function, cross_entropy, log_odds, margin, study
from sparring.attacks.validation import check_classes, check_logits_shape
from sparring.fused.engine import OBJECTIVE_NUMBERS, RULE_NUMBERS, Engine
from sparring.fused.library import Settings

_NUMBERS: Mapping[Function, int] = MappingProxyType(
    {
        cross_entropy: OBJECTIVE_NUMBERS["cross_entropy"],
        log_odds: OBJECTIVE_NUMBERS["log_odds"],
        study: OBJECTIVE_NUMBERS["study"],
        margin: OBJECTIVE_NUMBERS["margin"],
    }
)


class FusedClimb(Climb):
    """Whole attacks in the kernel; what it has no step for takes its gradients from it.

    Args:
        engine: computes ``model``.
        model, y, on_step, every: see `Climb`.

    Raises:
        ValueError: if a label is not below the model's number of classes, or that is 1.
    """

    def __init__(
        self, engine: Engine, model: nn.Module, y: Tensor, on_step: OnStep | None, every: int
    ) -> None:
        super().__init__(model, y, on_step, every)
        check_logits_shape((len(y), engine.network.classes), y)
        check_classes(y, engine.network.classes)
        self._engine = engine

    def ascend(self, x_adv: Tensor, x: Tensor, step: Step, steps: int) -> Tensor | None:
        """See `Climb`; steps between two looks at the weights are one call of the kernel."""
        settings = Settings(
            RULE_NUMBERS[step.rule], _NUMBERS[step.function], step.size, step.epsilon, *step.bounds
        )
        done = 0
        while done < steps:
            chunk = steps - done
            if self._on_step is not None:
                chunk = min(chunk, self._every - self._steps % self._every)
                self._look()
            x_adv = self._engine.attack(x_adv, x, self.y, settings, chunk)
            done += chunk
            self._steps += chunk
        return x_adv

    def logits(self, x: Tensor) -> Tensor:
        """See `Climb`."""
        return self._engine.logits(x)

    def gradient(self, x: Tensor, function: Function) -> Tensor:
        """See `Climb`."""
        self._look()
        self._steps += 1
        return self._engine.input_gradient(x, self.y, _NUMBERS[function])

    def _look(self) -> None:
        if self._on_step is not None and self._steps % self._every == 0:
            self._on_step(self._steps)
            self._engine.refresh()
