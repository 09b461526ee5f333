"""Convolutions of the study's network: forward, and backward to the input and to the weights.

With n images, i input and o output channels, r² output pixels, s² input pixels and a kernel of 25:

    FLOPs, each direction:     2 n r² 25 i o (every output is 25 i multiply-adds; backward the same
                               pairs of an input and an output meet)
    bytes, forward:            4 (n i s² + n o r² + 25 i o + o): input, output, weights, biases
    bytes, backward to input:  4 (n o r² + 25 i o + n i s²)
    bytes, backward to weights: 4 (n o r² + n i s² + 25 i o + o)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from kernels.counts.work import FLOAT, nominal
from kernels.declarations import im2col, toeplitz
from kernels.declarations.kernel import Case, Inputs, Kernel, Prepared, torch_variants
from kernels.declarations.study import network, of_both_layers, weight
from sparring.fused.network import Convolution

#: Which of a convolution's gradients are wanted: of input, weights, bias.
_MASKS = {"backward_input": (True, False, False), "backward_weights": (False, True, True)}


def kernels() -> list[Kernel]:
    """Those of both convolutions."""
    return of_both_layers(_kernel)


def _kernel(number: int, direction: str) -> Kernel:
    def layer(case: Case) -> Convolution:
        return network(case.input_size).convolutions[number - 1]

    def inputs(case: Case, generator: torch.Generator) -> dict[str, Tensor]:
        conv, n = layer(case), case.batch_size
        made = {
            "x": torch.rand(n, conv.in_channels, conv.height, conv.width, generator=generator),
            "w": weight((conv.out_channels, conv.in_channels, 5, 5), generator),
            "b": weight((conv.out_channels, 25), generator)[:, 0],
        }
        if direction != "forward":
            shape = (n, conv.out_channels, conv.conv_height, conv.conv_width)
            made["dy"] = 2 * torch.rand(shape, generator=generator) - 1
        return made

    def size(case: Case) -> float:
        return compulsory(layer(case), case.batch_size, direction)

    def flops(case: Case) -> float:
        return float(case.batch_size * nominal(layer(case)))

    def prepared(given: Inputs, case: Case) -> Prepared:
        return Prepared(_by_torch(given, direction), flops(case), size(case))

    variants = {
        **torch_variants(prepared),
        "im2col": im2col.variant(layer, direction, size),
        **toeplitz.variants(layer, direction),
    }
    name = f"conv{number}_{direction}"
    return Kernel(name, inputs, lambda given: _by_torch(given, direction)(), flops, size, variants)


def _by_torch(given: Inputs, direction: str) -> Callable[[], Any]:
    """The call of PyTorch's own operator; results as a tuple."""
    x, w, b = given["x"], given["w"], given["b"]
    if direction == "forward":
        return lambda: (F.conv2d(x, w, b),)
    dy, mask = given["dy"], list(_MASKS[direction])
    backward = torch.ops.aten.convolution_backward.default
    rest = ([len(b)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask)
    if direction == "backward_input":
        return lambda: backward(dy, x, w, *rest)[:1]
    return lambda: backward(dy, x, w, *rest)[1:]


def compulsory(conv: Convolution, images: int, direction: str) -> float:
    """Bytes; see the head of this module."""
    taken = conv.in_channels * conv.height * conv.width
    left = conv.out_channels * conv.conv_height * conv.conv_width
    bias = 0 if direction == "backward_input" else conv.out_channels
    return float(FLOAT * (images * (taken + left) + conv.weights + bias))
