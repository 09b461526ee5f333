"""How often rows meet a convolution's kernel."""

from __future__ import annotations


def rows_met(outputs: int, inputs: int, kernel: int, border: int, stride: int = 1) -> int:
    """Pairs of an output row and an input row under its kernel, rows beyond the image left out.

    Args:
        outputs: rows of the output.
        inputs: rows of the input.
        kernel: rows of the kernel.
        border: rows of zeros above and below the input.
        stride: rows of the input from one row of the output to the next.
    """
    firsts = range(0, outputs * stride, stride)
    return sum(max(0, min(kernel, inputs + border - y) - max(0, border - y)) for y in firsts)
