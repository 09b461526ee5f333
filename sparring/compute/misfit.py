"""Whether a model can take images of a shape at all: what a failure, or a refusal, may come of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparring.modes import mode


def refused_shape(model: nn.Module, images: Tensor) -> str:
    """What a model says of images that it cannot take; empty if it takes them.

    Args:
        model: called in eval mode; its own mode is restored.
        images: a batch, brought to the device and the precision of the model's parameters.
    """
    parameter = next(model.parameters(), None)
    images = images if parameter is None else images.to(parameter)
    try:
        with mode(model, False), torch.no_grad():
            model(images)
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def as_written(shape: Sequence[int]) -> str:
    """A shape as errors name it, such as ``(1, 28, 28)``."""
    return f"({', '.join(map(str, shape))})"
