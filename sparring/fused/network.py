"""The networks that the fused engine computes, as plain numbers.

A network is convolution layers, then dense layers. ReLU and max-pooling belong to the layer
before them; what normalises the images comes first. Nothing here knows torch or C++.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Convolution:
    """A convolution of stride 1 with a square kernel, then ReLU and 2x2 max-pooling if wanted.

    Attributes:
        in_channels, height, width: shape of one input image.
        out_channels: channels of the output.
        kernel: side of the square kernel, in pixels.
        padding: zero pixels on each side, less than ``kernel``.
        relu: whether max(0, .) follows.
        pool: whether 2x2 max-pooling of stride 2 follows; an odd last row or column is left out.
    """

    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: int
    padding: int
    relu: bool
    pool: bool

    @property
    def conv_height(self) -> int:
        """Rows of the convolution's output, before pooling."""
        return self.height + 2 * self.padding - self.kernel + 1

    @property
    def conv_width(self) -> int:
        """Columns of the convolution's output, before pooling."""
        return self.width + 2 * self.padding - self.kernel + 1

    @property
    def out_height(self) -> int:
        """Rows of the layer's output."""
        return self.conv_height // 2 if self.pool else self.conv_height

    @property
    def out_width(self) -> int:
        """Columns of the layer's output."""
        return self.conv_width // 2 if self.pool else self.conv_width

    @property
    def weights(self) -> int:
        """Elements of the weight tensor ``(out_channels, in_channels, kernel, kernel)``."""
        return self.out_channels * self.in_channels * self.kernel**2


@dataclass(frozen=True)
class Dense:
    """A linear layer, then ReLU if wanted.

    Attributes:
        inputs, outputs: neurons; the weight tensor is ``(outputs, inputs)``.
        relu: whether max(0, .) follows.
    """

    inputs: int
    outputs: int
    relu: bool

    @property
    def weights(self) -> int:
        """Elements of the weight tensor."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Network:
    """A whole network from images to logits.

    Attributes:
        shape: (channels, height, width) of an image.
        mean, std: images become (x - mean) / std first, one number a channel; empty if not.
        convolutions: first to last; may be empty.
        dense: first to last, at least one; the first takes the flattened (channel, row, column)
            output of the last convolution, or the flattened image.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    convolutions: tuple[Convolution, ...]
    dense: tuple[Dense, ...]

    @property
    def pixels(self) -> int:
        """Numbers in an image."""
        return prod(self.shape)

    @property
    def classes(self) -> int:
        """Logits of an image."""
        return self.dense[-1].outputs
