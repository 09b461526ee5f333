"""Train or eval mode, and which parameters are trained, for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Train or eval mode; on leaving, every submodule is in its own again.

    Some may be in another mode than the model: a frozen layer in eval mode, for example.
    """
    before = [(module, module.training) for module in model.modules()]
    try:
        if training:
            model.train()
        else:
            model.eval()
        yield
    finally:
        for module, was in before:
            module.training = was


@contextmanager
def trainable(parameters: Iterable[nn.Parameter], wanted: bool) -> Iterator[None]:
    """All of the parameters require gradients, or none; on leaving, each as before."""
    switched = [parameter for parameter in parameters if parameter.requires_grad != wanted]
    try:
        for parameter in switched:
            parameter.requires_grad_(wanted)
        yield
    finally:
        for parameter in switched:
            parameter.requires_grad_(not wanted)
