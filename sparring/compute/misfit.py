"""Whether a model can take images of a shape at all: what a failure, or a refusal, may come of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparring.errors import sentence
from sparring.modes import mode


def answer(model: nn.Module, images: Tensor) -> object:
    """What a model returns for images.

    Args:
        model: called in eval mode; its own mode is restored.
        images: a batch, brought to the device and the precision of the model's parameters.
    """
    parameter = next(model.parameters(), None)
    images = images if parameter is None else images.to(parameter)
    with mode(model, False), torch.no_grad():
        return model(images)


def refused_shape(model: nn.Module, images: Tensor) -> str:
    """What a model says of images that it cannot take; empty if it takes them. See `answer`."""
    try:
        answer(model, images)
    except Exception as error:
        return sentence(error)
    return ""


def as_written(shape: Sequence[int]) -> str:
    """A shape as errors name it, such as ``(1, 28, 28)``."""
    return f"({', '.join(map(str, shape))})"
