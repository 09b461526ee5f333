"""Which outputs of dense layers have a gradient: the kernels leave the others out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def alive_units(
    model: nn.Module, weights: Sequence[Tensor | None], images: Tensor, labels: Tensor, block: int
) -> list[float]:
    """For each dense layer, outputs with a gradient in any image of a block, mean over blocks.

    The gradient is that of the study's objective, which never vanishes in the logits, so that a
    zero is a ReLU's. Computed by PyTorch in float64.

    Args:
        model: the network.
        weights: its parameters, first layer first (`sparring.fused.engine.Engine.parameters`).
        images: float32 ``(n, c, h, w)``.
        labels: int64 ``(n,)``.
        block: images that the kernel computes together.
    """
    exact = copy.deepcopy(model).double().eval()
    twins = dict(zip(map(id, model.parameters()), exact.parameters(), strict=True))
    order = [id(twins[id(weight)]) for weight in weights if weight is not None]
    denses = sorted(
        (module for module in exact.modules() if isinstance(module, nn.Linear)),
        key=lambda module: order.index(id(module.weight)),
    )
    outputs: dict[int, Tensor] = {}
    handles = [
        dense.register_forward_hook(
            lambda module, inputs, output: outputs.__setitem__(id(module), output)
        )
        for dense in denses
    ]
    with torch.enable_grad():
        logits = exact(images.double().requires_grad_())
        goal = logits.sum() - 2 * logits.gather(1, labels[:, None]).sum()
        gradients = torch.autograd.grad(goal, [outputs[id(dense)] for dense in denses])
    for handle in handles:
        handle.remove()
    return [_mean_alive(gradient, block) for gradient in gradients]


def _mean_alive(gradient: Tensor, block: int) -> float:
    """Columns with anything but zeros, mean over blocks of rows."""
    blocks = torch.split(gradient, block)
    return sum(int((part != 0).any(dim=0).sum()) for part in blocks) / len(blocks)
