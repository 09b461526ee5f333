"""Work of the layout with one image at a time, channels in the lanes.

Counted in ``cpp/image_chain.hpp``, ``image_convolution.hpp``, ``image_dense.hpp``. Channels (in a
dense layer, inputs) are padded to whole vectors, whose products are executed. Convolutions are
computed as they are written down, and their ReLU and pooling belong to the products' stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from kernels.rows import rows_met
from kernels.work import FLOAT, STEP, Shape, Work, objective
from sparring.fused.network import Convolution, Dense, Network

#: Parts of a layer in one direction, and the bytes that are compulsory for it as a whole.
Parts = tuple[list[Work], float]


def _padded(numbers: int, lanes: int) -> int:
    return -(-numbers // lanes) * lanes


def _takes_dots(conv: Convolution, lanes: int) -> bool:
    """Whether the gradient of few input channels is computed with output channels in the lanes."""
    vectors_in, vectors_out = (
        _padded(channels, lanes) // lanes for channels in (conv.in_channels, conv.out_channels)
    )
    return conv.in_channels * vectors_out < conv.out_channels * vectors_in


def _backward_weights(conv: Convolution, lanes: int) -> int:
    if _takes_dots(conv, lanes):
        return conv.kernel**2 * conv.in_channels * _padded(conv.out_channels, lanes)
    return conv.kernel**2 * conv.out_channels * _padded(conv.in_channels, lanes)


def convolution(network: Network, conv: Convolution, layer: int, shape: Shape) -> Iterator[Parts]:
    """A convolution, forward and backward, with its ReLU, pooling and their way back."""
    lanes, kernel = shape.lanes, conv.kernel
    across = _padded(conv.out_channels, lanes)
    taken = conv.height * conv.width * conv.in_channels
    left = conv.out_height * conv.out_width * conv.out_channels
    raw = conv.conv_height * conv.conv_width * across  # the convolution's own output, or gradient

    met = rows_met(conv.conv_height, conv.height, kernel, conv.padding)
    weights = kernel**2 * conv.in_channels * across
    size = FLOAT * (taken + left + weights + (raw if conv.pool else 0))
    flops = 2 * met * kernel * conv.conv_width * conv.in_channels * across
    yield [Work(layer, "forward", "multiply", flops, size, size)], size

    read = raw if conv.pool else left if conv.relu else 0  # what tells where gradients pass
    gate = FLOAT * (left + read + raw)
    if _takes_dots(conv, lanes):
        outputs = conv.height * conv.width * conv.in_channels
        flops = outputs * (2 * kernel**2 * across + lanes - 1)
    else:
        border = kernel - 1 - conv.padding
        met = rows_met(conv.height, conv.conv_height, kernel, border)
        padded = _padded(conv.in_channels, lanes)
        flops = 2 * met * kernel * conv.width * conv.out_channels * padded
    weights = _backward_weights(conv, lanes)
    size = FLOAT * (raw + taken + weights)
    yield (
        [
            Work(layer, "backward", "other", 0, gate, gate),
            Work(layer, "backward", "multiply", flops, size, size),
        ],
        FLOAT * (left + read + taken + weights),
    )


def dense(
    network: Network, layer: Dense, number: int, shape: Shape, alive: float
) -> Iterator[Parts]:
    """A dense layer; lanes are summed at the end of each output."""
    padded = _padded(layer.inputs, shape.lanes)
    size = FLOAT * float(padded * (layer.outputs + 1) + layer.outputs)
    flops = layer.outputs * (2 * padded + shape.lanes)
    yield [Work(number, "forward", "multiply", flops, size, size)], size
    moved = FLOAT * (padded * (alive + 1) + alive)
    # Which outputs are left out differs from image to image: all weights come by.
    yield [Work(number, "backward", "multiply", 2 * padded * alive, moved, size)], moved


def outside(network: Network, shape: Shape, steps: int) -> Work:
    """What belongs to no layer: the image to the first layer and its gradient, objective, step."""
    pixels, padded = network.pixels, _padded(network.pixels, shape.lanes)
    flops = STEP * padded + objective(network.classes) + (3 * pixels if network.std else 0)
    numbers = 4 * pixels + 4 * padded + 2 * network.classes + 6 * pixels / steps
    return Work(0, "forward", "other", flops, FLOAT * numbers, FLOAT * 3 * pixels)


def weight_bytes(network: Network, shape: Shape) -> float:
    """Packed weights that a step reads: convolutions have a copy for each direction."""
    lanes = shape.lanes
    convolutions = sum(
        conv.kernel**2 * conv.in_channels * _padded(conv.out_channels, lanes)
        + _backward_weights(conv, lanes)
        for conv in network.convolutions
    )
    denses = sum(_padded(layer.inputs, lanes) * layer.outputs for layer in network.dense)
    return float(FLOAT * (convolutions + denses))
