"""An attack's view of a model that the fused engine computes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor, nn

from sparring.attacks.climb import Climb, OnStep, Step
from sparring.attacks.objectives import Function, cross_entropy, log_odds, margin, study
from sparring.attacks.validation import check_classes, check_labels, check_logits_shape
from sparring.fused.engine import OBJECTIVE_NUMBERS, RULE_NUMBERS, Engine
from sparring.fused.library import LabelError, Settings

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
        def look(step: int) -> None:
            assert on_step is not None
            on_step(step)
            engine.refresh()

        super().__init__(model, y, None if on_step is None else look, every)
        check_logits_shape((y.shape[0], engine.network.classes), y)
        if on_step is not None:  # before anybody is called; else the kernel sees to it
            check_classes(y, engine.network.classes)
        self._engine = engine

    def ascend(self, x_adv: Tensor, x: Tensor, step: Step, steps: int) -> Tensor:
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
            try:
                after, some = self._engine.attack(x_adv, x, self.y, settings, chunk)
            except LabelError:
                self._explain()
                raise
            if some:
                marked = after.isnan().flatten(1).any(1)
                after[marked] = self._one_by_one(x_adv[marked], x[marked], marked, step, chunk)
            x_adv = after
            done += chunk
            self._steps += chunk
        return x_adv

    def logits(self, x: Tensor, which: Tensor | None = None) -> Tensor:
        """See `Climb`."""
        return self._engine.logits(x)

    def _one_by_one(
        self, x_adv: Tensor, x: Tensor, which: Tensor, step: Step, steps: int
    ) -> Tensor:
        """Steps of some images, which look at every gradient."""
        for _ in range(steps):
            slope = self._slope(x_adv, self.y[which], step.function)
            x_adv = step.take(x_adv, x, self._usable(slope, which))
        return x_adv

    def _slope(self, x: Tensor, y: Tensor, function: Function) -> Tensor:
        try:
            return self._engine.input_gradient(x, y, _NUMBERS[function])
        except LabelError:
            self._explain()
            raise

    def _explain(self) -> None:
        """Say what is wrong with labels in an attack's own words."""
        check_labels(self.y)
        check_classes(self.y, self._engine.network.classes)
