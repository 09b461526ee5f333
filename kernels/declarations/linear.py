"""Linear layers of the study's network: forward, and backward to the input and to the weights.

With n images, i inputs and o outputs, in every direction one product of 2 n i o FLOPs:

    forward:             Y = X Wᵀ + b    bytes 4 (n i + i o + o + n o)
    backward to input:   dX = dY W       bytes 4 (n o + i o + n i)
    backward to weights: dW = dYᵀ X, db  bytes 4 (n o + n i + i o + o)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from kernels.counts.work import FLOAT, nominal
from kernels.declarations.kernel import Case, Inputs, Kernel, Prepared, Variant
from kernels.declarations.study import network, of_both_layers, weight
from sparring.fused.network import Dense


def kernels() -> list[Kernel]:
    """Those of both layers."""
    return of_both_layers(_kernel)


def _kernel(number: int, direction: str) -> Kernel:
    def layer(case: Case) -> Dense:
        return network(case.input_size).dense[number - 1]

    def inputs(case: Case, generator: torch.Generator) -> dict[str, Tensor]:
        dense = layer(case)
        made = {
            "x": torch.rand(case.batch_size, dense.inputs, generator=generator),
            "w": weight((dense.outputs, dense.inputs), generator),
            "b": weight((dense.outputs, dense.inputs), generator)[:, 0],
        }
        if direction != "forward":
            shape = (case.batch_size, dense.outputs)
            made["dy"] = 2 * torch.rand(shape, generator=generator) - 1
        return made

    def size(case: Case) -> float:
        dense, n = layer(case), case.batch_size
        bias = 0 if direction == "backward_input" else dense.outputs
        return float(FLOAT * (n * (dense.inputs + dense.outputs) + dense.weights + bias))

    def flops(case: Case) -> float:
        return float(case.batch_size * nominal(layer(case)))

    def prepare(given: Inputs, case: Case) -> Prepared:
        return Prepared(_call(given, direction), flops(case), size(case))

    return Kernel(
        f"linear{number}_{direction}", inputs, lambda given: _call(given, direction)(), flops,
        size, {"torch_nchw": Variant(prepare)},
    )  # fmt: skip


def _call(given: Inputs, direction: str) -> Callable[[], Sequence[Tensor]]:
    x, w, b = given["x"], given["w"], given["b"]
    if direction == "forward":
        return lambda: (F.linear(x, w, b),)
    dy = given["dy"]
    if direction == "backward_input":
        return lambda: (dy @ w,)
    return lambda: (dy.T @ x, dy.sum(0))
