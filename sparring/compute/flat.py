"""A model's weights and gradients as flat buffers, which strategies send and add up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sparring.compute.interface import OnReady


class FlatWeights:
    """All that a model computes with: parameters and buffers, in one flat buffer of numbers.

    What has another dtype stands behind the rest, byte by byte.

    Args:
        model: whose parameters have one dtype.
        dtype: of them.

    Attributes:
        count: elements of the flat buffer.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self._model, self._dtype = model, dtype
        self._parameters = [p.data for p in model.parameters()]
        self._has_buffers = any(True for _ in model.buffers())
        numbers, others = self._tensors()
        self._numbers = sum(tensor.numel() for tensor in numbers)
        self.count = self._numbers + -(-sum(t.nbytes for t in others) // dtype.itemsize)

    def _tensors(self) -> tuple[list[Tensor], list[Tensor]]:
        """What has the weights' dtype, and other buffers."""
        if not self._has_buffers:
            return self._parameters, []
        # Anew each time: a forward pass may put another tensor in a buffer's place.
        buffers = list(self._model.buffers())
        same = [buffer for buffer in buffers if buffer.dtype == self._dtype]
        return [*self._parameters, *same], [b for b in buffers if b.dtype != self._dtype]

    def read(self, flat: Tensor) -> None:
        """Write the model's weights into a flat buffer ``(count,)``."""
        numbers, others = self._tensors()
        torch.cat([tensor.reshape(-1) for tensor in numbers], out=flat[: self._numbers])
        if others:
            raw = [tensor.contiguous().view(-1).view(torch.uint8) for tensor in others]
            rest = flat[self._numbers :].view(torch.uint8)
            size = sum(tensor.nbytes for tensor in others)
            rest[size:] = 0
            torch.cat(raw, out=rest[:size])

    def write(self, flat: Tensor) -> None:
        """Give the model the weights of a flat buffer ``(count,)``."""
        numbers, others = self._tensors()
        sizes = [tensor.numel() for tensor in numbers]
        for tensor, part in zip(numbers, torch.split(flat[: self._numbers], sizes), strict=True):
            tensor.copy_(part.view_as(tensor))
        rest, start = flat[self._numbers :].view(torch.uint8), 0
        for tensor in others:
            raw = rest[start : start + tensor.nbytes].clone()  # from an address that any dtype has
            tensor.copy_(raw.view(tensor.dtype).view_as(tensor))
            start += tensor.nbytes


def gradients_as_they_come(
    loss: Tensor,
    parameters: Sequence[nn.Parameter],
    parts: Sequence[slice],
    out: Tensor,
    on_ready: OnReady,
) -> None:
    """Backward, telling of each parameter's gradient in reverse order, as early as may be.

    Autograd reaches the last layers first; the order told is fixed all the same, since every rank
    must reduce the same parts in the same order. Each ``grad`` is None afterwards.

    Args:
        loss: a scalar.
        parameters: a parameter that the model does not use has the gradient 0.
        parts: of each parameter in ``out``.
        out: the flat gradients.
        on_ready: is told of each part that stands in ``out``.
    """
    waiting = list(range(len(parameters)))
    done: set[int] = set()
    for parameter in parameters:
        parameter.grad = None  # backward would add to what the user left there

    def ready(index: int, parameter: Tensor) -> None:
        assert parameter.grad is not None
        out[parts[index]] = parameter.grad.reshape(-1)
        parameter.grad = None
        done.add(index)
        while waiting and waiting[-1] in done:
            on_ready(parts[waiting.pop()])

    hooks = [
        parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            partial(ready, index)
        )
        for index, parameter in enumerate(parameters)
    ]
    try:
        loss.backward(inputs=list(parameters))  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()
    while waiting:  # behind a parameter that the model does not use
        index = waiting.pop()
        if index not in done:
            out[parts[index]] = 0
        on_ready(parts[index])
