"""ReLU of conv2's output, and its mask on the way back.

With m numbers: forward y = max(0, x) moves 8 m bytes, backward dx = dy where y > 0 moves 12 m.
Neither has FLOPs: comparisons and masks are none (`kernels.counts.work`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kernels.counts.work import FLOAT
from kernels.declarations.kernel import Case, Inputs, Kernel, Prepared, Variant
from kernels.declarations.study import network


def kernels() -> list[Kernel]:
    """Forward and backward."""
    return [_kernel("forward", 2), _kernel("backward", 3)]


def _kernel(direction: str, passes: int) -> Kernel:
    def shape(case: Case) -> tuple[int, ...]:
        conv = network(case.input_size).convolutions[-1]
        return case.batch_size, conv.out_channels, conv.conv_height, conv.conv_width

    def inputs(case: Case, generator: torch.Generator) -> dict[str, Tensor]:
        x, dy = (2 * torch.rand(shape(case), generator=generator) - 1 for _ in range(2))
        return {"x": x} if direction == "forward" else {"y": x.relu(), "dy": dy}

    def size(case: Case) -> float:
        return float(passes * FLOAT * torch.Size(shape(case)).numel())

    def prepare(given: Inputs, case: Case) -> Prepared:
        return Prepared(_call(given), 0.0, size(case))

    return Kernel(
        f"relu_{direction}", inputs, lambda given: _call(given)(), lambda case: 0.0, size,
        {"torch_nchw": Variant(prepare)},
    )  # fmt: skip


def _call(given: Inputs) -> Callable[[], Sequence[Tensor]]:
    """Into a result that is there already, as STREAM's kernels write.

    A new one of many MiB is memory that the allocator may have given back to the system in between:
    the page faults would be most of the time.
    """
    if "x" in given:
        x = given["x"]
        result = torch.empty_like(x)
        return lambda: (torch.clamp_min(x, 0, out=result),)  # what torch.relu is
    y, dy = given["y"], given["dy"]
    result = torch.empty_like(dy)
    backward = torch.ops.aten.threshold_backward.grad_input
    return lambda: (backward(dy, y, 0, grad_input=result),)
