"""The networks that the fused engine computes, as plain numbers.

A network is convolutions, poolings, activations and additions, then dense layers. ReLU, and
max-pooling by two, belong to the convolution before them, and activations to the dense layer before
them; what normalises the images comes first. Nothing here knows torch or C++.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Convolution:
    """A convolution with a square kernel, then ReLU and 2x2 max-pooling if wanted.

    Attributes:
        in_channels, height, width: shape of one input image.
        out_channels: channels of the output.
        kernel: side of the square kernel, in pixels.
        padding: zero pixels on each side, less than ``kernel``.
        relu: whether max(0, .) follows.
        pool: whether 2x2 max-pooling of stride 2 follows; an odd last row or column is left out.
        stride: pixels from one place of the kernel to the next, both ways.
    """

    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: int
    padding: int
    relu: bool
    pool: bool
    stride: int = 1

    @property
    def conv_height(self) -> int:
        """Rows of the convolution's output, before pooling."""
        return places(self.height, self.kernel, self.stride, self.padding)

    @property
    def conv_width(self) -> int:
        """Columns of the convolution's output, before pooling."""
        return places(self.width, self.kernel, self.stride, self.padding)

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
class AnyConvolution:
    """Any other convolution, then ReLU and 2x2 max-pooling if wanted; see `Convolution`.

    Attributes:
        in_channels, height, width: shape of one input image.
        out_channels: channels of the output.
        kernel, stride, padding, dilation: (rows, columns).
        groups: of channels; an output sees the inputs of its own group alone.
        relu: whether max(0, .) follows.
        pool: whether 2x2 max-pooling of stride 2 follows.
    """

    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    relu: bool = False
    pool: bool = False

    @property
    def conv_height(self) -> int:
        """Rows of the convolution's output, before pooling."""
        reach = (self.kernel[0] - 1) * self.dilation[0] + 1
        return places(self.height, reach, self.stride[0], self.padding[0])

    @property
    def conv_width(self) -> int:
        """Columns of the convolution's output, before pooling."""
        reach = (self.kernel[1] - 1) * self.dilation[1] + 1
        return places(self.width, reach, self.stride[1], self.padding[1])

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
        """Elements of the weight tensor ``(out_channels, in_channels / groups, rows, columns)``."""
        return self.out_channels * self.in_channels // self.groups * prod(self.kernel)


@dataclass(frozen=True)
class Pooling:
    """Pooling as a layer of its own.

    Attributes:
        mean: whether it takes the mean of each window; else its maximum.
        channels, height, width: shape of one input image.
        kernel, stride, padding: (rows, columns); padding is at most half the kernel.
        padding_counts: whether a mean is that of its padding, too.
        ceil: whether a last window may reach beyond the image and its padding.
    """

    mean: bool
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    padding_counts: bool = True
    ceil: bool = False

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.channels

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self._windows(self.height, 0)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self._windows(self.width, 1)

    def _windows(self, size: int, side: int) -> int:
        kernel, stride, padding = self.kernel[side], self.stride[side], self.padding[side]
        if not self.ceil:
            return places(size, kernel, stride, padding)
        # As PyTorch has it: the last window does not begin beyond the image.
        count = places(size + stride - 1, kernel, stride, padding)
        return count - 1 if (count - 1) * stride >= size + padding else count


@dataclass(frozen=True)
class Curve:
    """An activation's function.

    Attributes:
        name: of the function in ``cpp/curves.hpp``.
        parameter: its parameter, None for one that has none.
    """

    name: str
    parameter: float | None = None


@dataclass(frozen=True)
class Activation:
    """An activation as a layer of its own.

    Attributes:
        curve: its function.
        out_channels, out_height, out_width: shape of one image, in and out.
    """

    curve: Curve
    out_channels: int
    out_height: int
    out_width: int


@dataclass(frozen=True)
class Addition:
    """The sum of two layers' outputs, then ReLU if wanted.

    Attributes:
        out_channels, out_height, out_width: shape of one image, of both and of the sum.
        relu: whether max(0, .) follows.
    """

    out_channels: int
    out_height: int
    out_width: int
    relu: bool = False


@dataclass(frozen=True)
class Affine:
    """Each channel times a number and plus one, then ReLU if wanted.

    Attributes:
        out_channels, out_height, out_width: shape of one image, in and out.
        relu: whether max(0, .) follows.
    """

    out_channels: int
    out_height: int
    out_width: int
    relu: bool = False


@dataclass(frozen=True)
class Padding:
    """Zeros around an image.

    Attributes:
        channels, height, width: shape of one input image.
        top, bottom, left, right: rows and columns of zeros.
        before, after: channels of zeros, before the image's own and behind them.
    """

    channels: int
    height: int
    width: int
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    before: int = 0
    after: int = 0

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.before + self.channels + self.after

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self.top + self.height + self.bottom

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self.left + self.width + self.right


def places(size: int, kernel: int, stride: int, padding: int) -> int:
    """Where a kernel fits along a side of an image; 0 if nowhere."""
    return max(0, (size + 2 * padding - kernel) // stride + 1)


@dataclass(frozen=True)
class Dense:
    """A linear layer, then ReLU or another activation if wanted.

    Attributes:
        inputs, outputs: neurons; the weight tensor is ``(outputs, inputs)``.
        relu: whether max(0, .) follows.
        curve: the other activation.
    """

    inputs: int
    outputs: int
    relu: bool
    curve: Curve | None = None

    @property
    def weights(self) -> int:
        """Elements of the weight tensor."""
        return self.inputs * self.outputs


#: A layer before the dense ones.
Front = Convolution | AnyConvolution | Pooling | Activation | Addition | Affine | Padding

#: What the first layers take: the image.
IMAGE = -1


@dataclass(frozen=True)
class Network:
    """A whole network from images to logits.

    Attributes:
        shape: (channels, height, width) of an image, or (features,).
        mean, std: images become (x - mean) / std first, one number a channel; empty if not.
        front: layers before the dense ones, each behind those whose outputs it takes; may be empty.
        dense: first to last, at least one; the first takes the flattened (channel, row, column)
            output of the last layer before, or the flattened image.
        sources: for each layer of the front the layers whose outputs it takes, by their places
            there, or `IMAGE`; empty for a chain, in which each takes that of the one before it.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    front: tuple[Front, ...]
    dense: tuple[Dense, ...]
    sources: tuple[tuple[int, ...], ...] = ()

    def taken(self) -> tuple[tuple[int, ...], ...]:
        """`sources`, of a chain, too."""
        return self.sources or tuple((number - 1,) for number in range(len(self.front)))

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """Those of the front."""
        return tuple(layer for layer in self.front if isinstance(layer, Convolution))

    @property
    def pixels(self) -> int:
        """Numbers in an image."""
        return prod(self.shape)

    @property
    def classes(self) -> int:
        """Logits of an image."""
        return self.dense[-1].outputs
