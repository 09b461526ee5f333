"""What a kernel is, to those who measure it and know none by name.

After BabelStream (T. Deakin, J. Price, M. Martineau, S. McIntosh-Smith, "Evaluating attainable
memory bandwidth of parallel programming models via BabelStream", IJCSE 17(3), 2018): a kernel says
what it computes and counts, and the driver does the rest.

FLOPs are counted as in `kernels.counts.work`; a kernel's nominal ones are its matrix products' and
those of a step or an optimizer, without the additions of biases. Compulsory bytes are every number
of an input once and of an output once, in float32; labels are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

#: Tensors by name.
Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A shape.

    Attributes:
        batch_size: images.
        input_size: rows and columns of an image.
    """

    batch_size: int
    input_size: int


@dataclass(frozen=True)
class Prepared:
    """A variant, ready to be called again and again on the same inputs.

    Attributes:
        run: does the kernel's work once.
        count: FLOPs executed in one call, or what counts them when they are asked for.
        bytes: compulsory in one call, of what this variant reads and writes.
        result: from what `run` returned to tensors that compare with the reference's.
        portable: whether other instruction sets execute as many FLOPs.
    """

    run: Callable[[], Any]
    count: float | Callable[[], float]
    bytes: float
    result: Callable[[Any], Sequence[Tensor]] = lambda found: (
        (found,) if isinstance(found, Tensor) else found
    )
    portable: bool = True

    @cached_property
    def flops(self) -> float:
        """Executed in one call."""
        return self.count() if callable(self.count) else self.count


@dataclass(frozen=True)
class Variant:
    """One way to compute a kernel.

    Attributes:
        prepare: brings inputs into the variant's layout, and builds what it needs.
        memory: bytes that it takes beyond the inputs and outputs.
        most_threads: that it can use; None if any number.
    """

    prepare: Callable[[Inputs, Case], Prepared]
    memory: Callable[[Case], float] = lambda case: 0.0
    most_threads: int | None = None


@dataclass(frozen=True)
class Kernel:
    """A kernel.

    Attributes:
        name: in tables.
        inputs: random ones of a case, float32.
        reference: the results, of the inputs in float64.
        flops: nominal, by the direct algorithm.
        bytes: compulsory.
        variants: by name.
    """

    name: str
    inputs: Callable[[Case, torch.Generator], dict[str, Tensor]]
    reference: Callable[[Inputs], Sequence[Tensor]]
    flops: Callable[[Case], float]
    bytes: Callable[[Case], float]
    variants: Mapping[str, Variant]


def torch_variants(
    prepared: Callable[[Inputs, Case], Prepared],
) -> dict[str, Variant]:
    """PyTorch's operators with images in either of its layouts.

    Args:
        prepared: from inputs of a layout.
    """

    def laid(layout: torch.memory_format) -> Variant:
        return Variant(
            lambda given, case: prepared(
                {
                    name: x.contiguous(memory_format=layout) if x.dim() == 4 else x
                    for name, x in given.items()
                },
                case,
            )
        )

    return {
        "torch_nchw": laid(torch.contiguous_format),
        "torch_channels_last": laid(torch.channels_last),
    }


def error(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest distance of a result from its reference, over the reference's norm.

    NaN anywhere makes it infinite; so does a result of another shape.
    """
    if [tuple(x.shape) for x in found] != [tuple(x.shape) for x in expected]:
        return float("inf")
    worst = 0.0
    for mine, exact in zip(found, expected, strict=True):
        distance = float(
            (mine.detach().double() - exact.detach()).norm() / exact.norm().clamp_min(1e-30)
        )
        worst = max(worst, distance if distance == distance else float("inf"))
    return worst
