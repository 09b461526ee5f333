"""What the layout with images in the lanes computes for the gradients of weights, of one block.

Counted in ``cpp/direct_gradient.hpp``, ``winograd_convolution.hpp``, ``winograd_gradient.hpp``,
``dense_layer.hpp``.
"""

from __future__ import annotations

from kernels.counts.dense_rows import Rows
from kernels.counts.kernel_overlap import rows_met
from kernels.counts.work import Shape
from sparring.fused.network import Convolution, Dense
from sparring.fused.winograd import (
    input_operations,
    winograd_outputs,
    winograd_points,
    winograd_tiles,
)


def convolution(conv: Convolution, shape: Shape) -> int:
    """Operations for the gradients of a convolution's weights and biases.

    Winograd tiles are transformed again, since of the way forward only the inputs are kept.
    """
    lanes, pixels = shape.lanes, conv.conv_height * conv.conv_width
    pairs = conv.in_channels * conv.out_channels
    biases = pixels * conv.out_channels
    if points := winograd_points(conv):  # dU = dM V', at each frequency of every tile
        side = winograd_outputs(conv)
        across, down = -(-conv.conv_width // side), -(-conv.conv_height // side)
        again = (conv.height + down * points) * across * conv.in_channels
        again *= input_operations(points)
        return lanes * (2 * winograd_tiles(conv) * points**2 * pairs + biases + again)
    met = rows_met(conv.conv_height, conv.height, conv.kernel, conv.padding)
    return lanes * (2 * met * conv.kernel * conv.conv_width * pairs + biases)


def dense(layer: Dense, shape: Shape) -> int:
    """Operations for the gradients of a dense layer's weights and biases.

    Outputs that only pad a row are multiplied like others.
    """
    row = Rows.of(layer, shape.registers).numbers
    return shape.lanes * (2 * layer.inputs * row + layer.outputs)
