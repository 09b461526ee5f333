"""What all attacks have in common: how they are called, and their guarantees."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from sparring.attacks.climb import Climb, OnStep
from sparring.attacks.fused_climb import FusedClimb
from sparring.attacks.memory_format import forward_of
from sparring.attacks.sources import RandomSource, as_source
from sparring.attacks.validation import check_batch, check_count, check_labels
from sparring.backends import engine_for
from sparring.modes import made_in_inference_mode, mode, trainable

log = logging.getLogger(__name__)


class Attack(ABC):
    """An attack on a batch of images.

    Attributes:
        backend: ``"torch"``; ``"fused"``, the compiled engine (`sparring.compile`), which raises
            where it cannot serve; ``"auto"``, the engine where it can, else PyTorch.

    Whatever the attack, and also when it ends in an exception:

    - ``x`` and ``y`` are left as they were; the result is a new tensor without gradient history,
      of the shape, dtype and device of ``x``.
    - Only the gradient with respect to the images is computed. Parameters are frozen meanwhile;
      their ``requires_grad`` flags come back and their ``grad`` is not touched.
    - The model runs in eval mode and every submodule's mode comes back. In train mode batch
      normalisation would let images change each other's gradients and the attack would change
      the running statistics; dropout would aim each step at a different network.
    - Where the gradient is not finite, pixels stay (it is no number) or move by its largest finite
      entry (it is infinite), and a warning names the images: every result is finite.
    - The global random generators are neither used nor changed.
    - It works under ``torch.no_grad()`` and ``torch.inference_mode()``.
    """

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        generator: torch.Generator | RandomSource | None = None,
        on_step: OnStep | None = None,
        every: int = 1,
    ) -> Tensor:
        """Adversarial images ``(n, ...)`` for the images ``x``.

        Args:
            model: any module from images to raw logits ``(n, classes)``.
            x: images ``(n, ...)`` of a floating dtype; n may be 0, then no step is taken.
            y: integer labels ``(n,)``: the true classes, or the wanted ones in a targeted attack.
            generator: where random numbers come from; the same seed gives the same result. None
                means a fresh generator seeded by the operating system.
            on_step: called before every ``every``-th gradient step with its number, from step 0,
                gradients off; it may load newer weights into the model in place.
            every: see ``on_step``. The fused engine takes that many steps in one go.

        Raises:
            ValueError: if x, y, generator, every or the model's output is not as described, if the
                model's weights were made under ``torch.inference_mode()``, or if the backend is
                ``"fused"`` and the engine cannot serve this model.
        """
        check_model(model)
        check_batch(x, y)
        check_count("every", every)
        source = as_source(generator)
        engine = engine_for(self.backend, model, x)
        if engine is None or (engine.from_inference_mode and not engine.reads_elsewhere):
            check_not_inference(model)
        # Where the engine computes and nobody looks meanwhile, the model has no part in it.
        hands_off = engine is not None and on_step is None
        if not hands_off or y.dtype == torch.uint64:  # else the kernel sees to it
            check_labels(y)
        with _untracked(x) if hands_off else _computing(model):
            # Copies, since inference tensors cannot be part of a graph.
            x, y = x.clone(), y.to(x.device, torch.int64, copy=True)
            if x.shape[0] == 0:
                return x
            if engine is None:
                climb = Climb(forward_of(model, x), y, on_step, every)
            else:
                climb = FusedClimb(engine, model, y, on_step, every)
            return self.run(climb, x, source)

    backend: str = "torch"

    def run(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        """The attack, where all that `__call__` looks at is known to be good.

        Args:
            climb: the model, which is in eval mode, and labels.
            x: images ``(n, ...)``, detached and nobody else's: the result may be they.
            source: where random numbers come from.
        """
        if x.shape[0] == 0:
            return x
        try:
            return self._perturb(climb, x, source)
        finally:
            climb.tell()

    def further(self, start: Tensor, steps: int, scale: float) -> Attack:
        """Further steps of this attack, on the same clean images, from adversaries of them.

        Args:
            start: adversaries ``(n, ...)`` to go on from.
            steps: how many, from 1.
            scale: length of each, in steps of this attack; above 0.

        Raises:
            ValueError: if this attack has no further steps, or when the result is called with
                images of another number, shape or dtype than ``start``.
        """
        raise ValueError(
            f"{type(self).__name__} has no further steps: only PGD and GradientAscent can go on "
            "from adversaries"
        )

    @abstractmethod
    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        """The attack itself; runs with gradients off and must not write to ``x``."""


def check_model(model: object) -> None:
    """A module: a function has no parameters to freeze and no mode to set.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"the model must be a torch.nn.Module, not a {type(model).__name__}; wrap it in one"
        )


def check_not_inference(model: nn.Module) -> None:
    """Refuse a model whose tensors cannot take part in a backward pass.

    Raises:
        ValueError: if the model holds tensors made under ``torch.inference_mode()``.
    """
    if made_in_inference_mode(model):
        raise ValueError(
            "the model must be built outside torch.inference_mode(), whose tensors cannot take "
            "part in a backward pass"
        )


def _untracked(x: Tensor) -> AbstractContextManager[object]:
    """Gradients off for a copy of the images, where that makes a difference."""
    plain = not x.requires_grad and not torch.is_inference_mode_enabled()
    return nullcontext() if plain else _outside()


@contextmanager
def _outside() -> Iterator[None]:
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


@contextmanager
def _computing(model: nn.Module) -> Iterator[None]:
    with _outside(), frozen(model):
        yield


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for parameters; on leaving, all flags are as they were."""
    with mode(model, training=False), trainable(model.parameters(), False):
        yield
