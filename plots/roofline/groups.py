"""Kernels in groups: the colour, the fill and the order in which they are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Kernels of a kind.

    Attributes:
        title: in the legend.
        colour: Okabe and Ito's.
    """

    title: str
    colour: str


CONVOLUTION = Group("convolution", "#0072B2")
LINEAR = Group("linear layer", "#E69F00")
PASSES = Group("whole pass, PyTorch", "#CC79A7")
ENGINE = Group("whole pass, engine", "#D55E00")
GROUPS = (CONVOLUTION, LINEAR, PASSES, ENGINE)

_SHORT = (("_forward", " fwd"), ("_backward_input", " bwd x"), ("_backward_weights", " bwd w"),
          ("_backward", " bwd"), ("_", " "))  # fmt: skip


def short(kernel: str) -> str:
    """A kernel's name as it stands in the figure."""
    for long, brief in _SHORT:
        kernel = kernel.replace(long, brief)
    return kernel


def group(kernel: str, variant: str) -> Group:
    """A kernel's group."""
    if kernel.startswith("conv"):
        return CONVOLUTION
    if kernel.startswith("linear"):
        return LINEAR
    return ENGINE if variant.startswith("fused") else PASSES


def backward(kernel: str) -> bool:
    """Whether it is a way back; what goes both ways counts as one."""
    return not kernel.endswith("_forward")
