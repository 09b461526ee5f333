"""PyTorch's convolutions with channels last in memory, while an attack runs.

oneDNN's convolutions want channels beside each other. Given images and weights that way, they skip
reordering both in every pass. The user's model keeps its own weights: the forward pass reads
copies, made anew for each pass, so that whatever wrote to the weights in between is seen. They are
small beside what a pass computes with them.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.func import functional_call

#: From images to logits.
Forward = Callable[[Tensor], Tensor]

#: Models whose forward cannot take such images: it calls ``view`` on what a convolution gave.
_refusing: WeakSet[nn.Module] = WeakSet()

#: Batches from which on it pays.
SMALLEST_BATCH = 16


def channels_last_pays(model: nn.Module, x: Tensor) -> bool:
    """The switch: whether an attack on these images reads copies with channels last.

    It does for float32 images ``(n, channels, height, width)`` on the CPU and a model with at least
    one `torch.nn.Conv2d` of that kind, no class derived from it, if the model has not shown that it
    cannot. PyTorch's float64 convolutions are not oneDNN's. A compiled model is left alone: it
    would be compiled again.
    """
    return (
        x.dim() == 4
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and model not in _refusing
        and bool(_weights(model))
        and not any(_is_compiled(module) for module in model.modules())
        and worth_it(model, x)
    )


def worth_it(model: nn.Module, x: Tensor) -> bool:
    """Whether it is likely to be faster.

    It is for networks on images of several channels, in batches. A first convolution with a
    single input channel stays in the plain layout: images would change layouts in every pass.
    """
    single = any(isinstance(m, nn.Conv2d) and m.in_channels == 1 for m in model.modules())
    return len(x) >= SMALLEST_BATCH and not single


def forward_of(model: nn.Module, x: Tensor) -> Forward:
    """The model as an attack on images ``x`` computes it: itself, or with channels last."""
    return ChannelsLast(model) if channels_last_pays(model, x) else model


class ChannelsLast:
    """A model's forward on copies of images and weights with channels last; equal up to rounding.

    Args:
        model: has a convolution.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._names = model, _weights(model)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits."""
        if self._model in _refusing:
            return self._plain(x)
        copies = {
            name: parameter.detach().contiguous(memory_format=torch.channels_last)
            for name, parameter in self._model.named_parameters()
            if name in self._names
        }
        try:
            images = x.contiguous(memory_format=torch.channels_last)
            logits: Tensor = functional_call(self._model, copies, (images,))
        except RuntimeError:  # of ``view``; whatever else it is, the model raises it again
            logits = self._plain(x)
            _refusing.add(self._model)
        return logits

    def _plain(self, x: Tensor) -> Tensor:
        logits: Tensor = self._model(x)
        return logits


def _weights(model: nn.Module) -> frozenset[str]:
    """The names of the weights to copy."""
    return frozenset(
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if type(module) is nn.Conv2d
        and type(module.weight) is nn.Parameter
        and module.weight.dtype == torch.float32
        and module.weight.device.type == "cpu"
    )


def _is_compiled(module: nn.Module) -> bool:
    """Whether ``torch.compile`` or a module's own ``compile`` made it."""
    return module._compiled_call_impl is not None or type(module).__name__ == "OptimizedModule"
