"""What all attacks have in common: their guarantees, and the gradient by which they climb."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from sparring.attacks.objectives import Function
from sparring.attacks.sources import RandomSource, as_source
from sparring.attacks.validation import check_batch, check_logits

#: Called with the number of each gradient step just before it, counted from 0 over the whole call.
OnStep = Callable[[int], None]


class Attack(ABC):
    """An attack on a batch of images.

    Whatever the attack, and also when it ends in an exception:

    - ``x`` and ``y`` are left as they were; the result is a new tensor without gradient history,
      of the shape, dtype and device of ``x``.
    - Only the gradient with respect to the images is computed. Parameters are frozen meanwhile;
      their ``requires_grad`` flags come back and their ``grad`` is not touched.
    - The model runs in eval mode and every submodule's mode comes back. In train mode batch
      normalisation would let images change each other's gradients and the attack would change
      the running statistics; dropout would aim each step at a different network.
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
    ) -> Tensor:
        """Adversarial images ``(n, ...)`` for the images ``x``.

        Args:
            model: any module from images to raw logits ``(n, classes)``.
            x: images ``(n, ...)`` of a floating dtype; n may be 0, then no step is taken.
            y: integer labels ``(n,)``: the true classes, or the wanted ones in a targeted attack.
            generator: where random numbers come from; the same seed gives the same result. None
                means a fresh generator seeded by the operating system.
            on_step: called before each gradient step with its number, gradients off; it may load
                newer weights into the model in place.

        Raises:
            ValueError: if x, y, generator or the model's output is not as described, or if the
                model's weights were made under ``torch.inference_mode()``.
        """
        check_batch(x, y)
        source = as_source(generator)
        with torch.inference_mode(mode=False), torch.no_grad(), frozen(model):
            # Copies, since inference tensors cannot be part of a graph.
            x, y = x.clone(), y.to(x.device, torch.int64, copy=True)
            if x.shape[0] == 0:
                return x
            return self._perturb(Climb(model, y, on_step), x, source)

    @abstractmethod
    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        """The attack itself; runs with gradients off and must not write to ``x``."""


class Climb:
    """One attack's view of the model: gradients with respect to images, and nothing else.

    Args:
        model: the attacked model, already frozen.
        y: int64 labels ``(n,)``.
        on_step: see ``Attack.__call__``.
    """

    def __init__(self, model: nn.Module, y: Tensor, on_step: OnStep | None) -> None:
        self.model, self.y = model, y
        self._on_step = on_step
        self._steps = 0

    def gradient(self, x: Tensor, function: Function) -> Tensor:
        """The gradient of each image's function value with respect to the image; one step."""
        if self._on_step is not None:
            self._on_step(self._steps)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logits = self.model(x)
            if self._steps == 0:
                check_logits(logits, self.y)
            # A sum, so that each image's gradient is its own, whatever the batch.
            (gradient,) = torch.autograd.grad(function(logits, self.y).sum(), x)
        self._steps += 1
        return gradient


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for parameters; on leaving, all flags are as they were.

    Raises:
        ValueError: if the model holds tensors made under ``torch.inference_mode()``.
    """
    if any(tensor.is_inference() for tensor in chain(model.parameters(), model.buffers())):
        raise ValueError(
            "the model must be built outside torch.inference_mode(), whose tensors cannot take "
            "part in a backward pass"
        )
    modes = [(module, module.training) for module in model.modules()]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training
