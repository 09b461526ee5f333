"""Convolution as unfolding and a matrix product.

Every output pixel's patch becomes a column, which copies each input pixel up to 25 times; then
forward is W C, backward to the input folds Wᵀ dY, backward to the weights is dY Cᵀ.

Source: K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for
Document Processing", IWFHR 2006.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from kernels.counts.work import FLOAT, nominal
from kernels.declarations.kernel import Case, Inputs, Prepared, Variant
from sparring.fused.network import Convolution


def variant(
    layer: Callable[[Case], Convolution], direction: str, size: Callable[[Case], float]
) -> Variant:
    """The variant of a convolution.

    Folding adds every number of the columns into its pixel: one operation each, beyond the
    product's.
    """

    def columns(case: Case) -> int:
        conv = layer(case)
        pixels = conv.conv_height * conv.conv_width
        return case.batch_size * pixels * conv.kernel**2 * conv.in_channels

    def prepare(given: Inputs, case: Case) -> Prepared:
        flops = float(case.batch_size * nominal(layer(case)))
        if direction == "backward_input":
            flops += columns(case)
        return Prepared(_call(given, direction, layer(case)), flops, size(case))

    return Variant(prepare, lambda case: 2.0 * FLOAT * columns(case))


def _call(given: Inputs, direction: str, conv: Convolution) -> Callable[[], tuple[Tensor, ...]]:
    x, b, kernel = given["x"], given["b"], conv.kernel
    matrix = given["w"].reshape(conv.out_channels, -1)
    shape = (len(x), conv.out_channels, conv.conv_height, conv.conv_width)
    if direction == "forward":
        return lambda: ((matrix @ F.unfold(x, kernel) + b[:, None]).view(shape),)
    dy = given["dy"].reshape(len(x), conv.out_channels, -1)
    if direction == "backward_input":
        return lambda: (F.fold(matrix.T @ dy, (conv.height, conv.width), kernel),)

    def weights() -> tuple[Tensor, ...]:
        product = torch.einsum("nop,nkp->ok", dy, F.unfold(x, kernel))
        return product.view(given["w"].shape), dy.sum((0, 2))

    return weights
