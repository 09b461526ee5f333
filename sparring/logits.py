"""What a model answers, and whether that is right."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sparring.errors import SparringError


class ModelError(SparringError, ValueError):
    """The model does not return logits; the message says what instead."""


def logits_of(model: Callable[[Tensor], object], x: Tensor) -> Tensor:
    """The model's logits of images ``x``.

    Raises:
        ModelError: if it returns anything but a tensor.
    """
    logits = model(x)
    if not isinstance(logits, Tensor):
        raise ModelError(
            "the model must return logits, a tensor of shape (images, classes), not a "
            f"{type(logits).__name__}; wrap it in a module that returns them"
        )
    return logits


def right(logits: Tensor, y: Tensor) -> Tensor:
    """Which images the logits classify as ``y``, bool ``(n,)``; a not-a-number is never right."""
    return (logits.argmax(1) == y) & ~logits.isnan().any(1)


def adversaries_or_images(adversaries: Tensor, x: Tensor) -> Tensor:
    """Each adversary, or the image of ``x`` itself where the adversary is not of finite numbers.

    Such a one is no image, so that nothing which a network answers to it counts.
    """
    finite = adversaries.flatten(1).isfinite().all(1)
    return adversaries.where(finite.reshape(-1, *[1] * (x.dim() - 1)), x)
