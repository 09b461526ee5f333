"""What all attacks have in common: their guarantees, and the gradient by which they climb."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from sparring.attacks.memory_format import Forward, forward_of
from sparring.attacks.norms import NORMS, usable
from sparring.attacks.objectives import Function
from sparring.attacks.sources import RandomSource, as_source
from sparring.attacks.validation import check_batch, check_count, check_labels, check_logits
from sparring.backends import engine_for
from sparring.logits import logits_of
from sparring.modes import mode, trainable

log = logging.getLogger(__name__)

#: The norm behind a step's rule.
_NORMS = {"sign": NORMS["linf"], "l2": NORMS["l2"]}

#: Called with the number of a gradient step just before it, counted from 0 over the whole call.
OnStep = Callable[[int], None]


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
        if engine is None or not engine.reads_elsewhere:
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
                from sparring.fused.attack import FusedClimb

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
            if not logits.requires_grad:
                raise ValueError(
                    "the model must be differentiable in its input, but its logits are not"
                )
            # A sum, so that each image's gradient is its own, whatever the batch.
            (gradient,) = torch.autograd.grad(function(logits, y).sum(), x)
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
    if any(tensor.is_inference() for tensor in chain(model.parameters(), model.buffers())):
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
