"""Batch normalisation of a minibatch whose images are spread over ranks.

In train mode it normalises by the mean and variance of the whole minibatch (Ioffe and Szegedy,
ICML 2015, algorithm 1), so a rank that has a share of the images needs what the others found in
theirs. Forward, every rank tells the number, the mean and the sum of squared deviations of its
values, which are merged in the order of ranks (Chan, Golub and LeVeque, "Algorithms for computing
the sample variance", The American Statistician 37, 1983); backward, the sums over its images that
the gradient needs (algorithm 1's chain rule in the same paper, section 3). All ranks compute the
same statistics to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparring.compute.interface import Ranks

#: What is synchronised: a subclass may compute something else.
_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BatchNorm = nn.modules.batchnorm._BatchNorm


def layers_of(model: nn.Module) -> list[tuple[str, BatchNorm]]:
    """The model's batch normalisations, with their names."""
    return [(name, m) for name, m in model.named_modules() if isinstance(m, BatchNorm)]


def problem_of_splitting(model: nn.Module, updates: bool) -> str:
    """Why ranks cannot attack each a share of a minibatch, and what to do; empty if they can.

    With ``updates`` they also update on these shares.
    """
    for name, layer in layers_of(model):
        told = f"layer {name}" if name else "the model"
        told += f" ({type(layer).__name__})"
        if layer.running_mean is None:
            return (
                f"{told} keeps no running statistics, so attacks mix the images of a batch; "
                "expected strategy 'pipeline' with one trainer"
            )
        if updates and type(layer) not in _KINDS:
            return (
                f"{told} is not one of PyTorch's BatchNorm1d, BatchNorm2d and BatchNorm3d; "
                "expected strategy 'sharded', or 'pipeline' with one trainer"
            )
    return ""


@contextmanager
def synchronized(model: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Batch normalisations in train mode take the statistics of all ranks' images. Collective.

    Every rank runs the model forward once, and backward once if any does, also without images.
    """
    chosen = [layer for _, layer in layers_of(model) if layer.training]
    for layer in chosen:
        layer.forward = partial(_forward, layer, ranks)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in chosen:
            del layer.forward


def keep_first(model: nn.Module, ranks: Ranks) -> None:
    """Every rank's buffers become rank 0's. Collective."""
    for buffer in model.buffers():
        array = buffer.detach().cpu().contiguous().numpy().reshape(-1)
        ranks.take_first(array)
        buffer.copy_(torch.from_numpy(array).view_as(buffer))


def _forward(layer: BatchNorm, ranks: Ranks, x: Tensor) -> Tensor:
    layer._check_input_dim(x)  # type: ignore[no-untyped-call]
    if x.dim() < 2 or x.shape[1] != layer.num_features:
        raise ValueError(
            f"expected {layer.num_features} channels, got an input of shape {tuple(x.shape)}"
        )
    weight, bias = layer.weight, layer.bias
    y, mean, variance, count = _Synchronized.apply(x, weight, bias, layer.eps, ranks)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.add_(1)
        rate = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
        layer.running_mean.lerp_(mean, rate)
        layer.running_var.lerp_(variance * (count / (count - 1)), rate)
    return y  # type: ignore[no-any-return]


class _Synchronized(torch.autograd.Function):
    """x ``(n, c, ...)``, weight and bias ``(c,)`` or None; y, mean, biased variance, count."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        axes = [0, *range(2, x.dim())]
        number = x.numel() // x.shape[1] if x.shape[0] else 0
        own = x.new_zeros(2, x.shape[1])
        if number:
            own[0] = x.mean(axes)
            own[1] = (x - _wide(own[0], x)).square().sum(axes)
        count, mean, squares = _merged(ranks, number, own)
        if count <= 1:
            raise ValueError(
                "batch normalisation in train mode needs more than one value a channel in a "
                f"minibatch; the input is of shape {tuple(x.shape)}"
            )
        variance = squares / count
        scale = (variance + eps).rsqrt()
        normal = (x - _wide(mean, x)) * _wide(scale, x)
        ctx.save_for_backward(normal, weight, scale)
        ctx.ranks, ctx.count, ctx.axes = ranks, count, axes
        ctx.mark_non_differentiable(mean, variance)
        y = normal if weight is None else normal * _wide(weight, x)
        return (y.clone() if bias is None else y + _wide(bias, x)), mean, variance, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        normal, weight, scale = ctx.saved_tensors
        own = torch.stack([dy.sum(ctx.axes), (dy * normal).sum(ctx.axes)])
        rows = torch.from_numpy(ctx.ranks.gather(own.reshape(-1).numpy()))
        sums = torch.zeros_like(own).reshape(-1)
        for row in rows:
            sums += row
        mean, slope = (sums / ctx.count).view_as(own)
        if weight is not None:
            scale = scale * weight
        dx = (dy - _wide(mean, dy) - normal * _wide(slope, dy)) * _wide(scale, dy)
        return dx, *((own[1], own[0]) if weight is not None else (None, None)), None, None


def _merged(ranks: Ranks, number: int, own: Tensor) -> tuple[float, Tensor, Tensor]:
    """Number, mean and sum of squared deviations of all ranks' values."""
    told = torch.cat([own.new_tensor([number]), own.reshape(-1)])
    rows = torch.from_numpy(ranks.gather(told.numpy()))
    count, mean, squares = 0.0, torch.zeros_like(own[0]), torch.zeros_like(own[0])
    for row in rows:
        more = float(row[0])
        if more:
            other, apart = row[1:].view_as(own)
            away = other - mean
            total = count + more
            mean = mean + away * (more / total)
            squares = squares + apart + away.square() * (count * more / total)
            count = total
    return count, mean, squares


def _wide(channels: Tensor, like: Tensor) -> Tensor:
    return channels.view(1, -1, *[1] * (like.dim() - 2))
