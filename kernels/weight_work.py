"""What the fused engine computes for the gradients of its weights, and in one update.

Counted in ``cpp/direct_gradient.hpp``, ``winograd_gradient.hpp``, ``dense_layer.hpp``,
``image_convolution.hpp``, ``image_dense.hpp``. What comes once a call, and not for every block of
images, is left out: sums over lanes, and the way back through the transform of the filters.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernels.accounting import attack_step
from kernels.rows import rows_met
from kernels.transforms import POINTS
from kernels.work import ALL, STEP, Shape
from sparring.fused.header import uses_winograd, winograd_tiles
from sparring.fused.network import Convolution, Dense, Network


def _padded(numbers: int, lanes: int) -> int:
    return -(-numbers // lanes) * lanes


def convolution(conv: Convolution, shape: Shape) -> int:
    """Operations of a block for the gradients of a convolution's weights and biases."""
    lanes, pixels = shape.lanes, conv.conv_height * conv.conv_width
    if shape.block == 1:  # output channels in the lanes, padding multiplied like any pixel
        across = _padded(conv.out_channels, lanes)
        return pixels * across * (2 * conv.kernel**2 * conv.in_channels + 1)
    pairs = conv.in_channels * conv.out_channels
    biases = pixels * conv.out_channels
    if uses_winograd(conv):  # dU = dM V', at each frequency of every tile
        return lanes * (2 * winograd_tiles(conv) * POINTS**2 * pairs + biases)
    met = rows_met(conv.conv_height, conv.height, conv.kernel, conv.padding)
    return lanes * (2 * met * conv.kernel * conv.conv_width * pairs + biases)


def dense(layer: Dense, shape: Shape, alive: float) -> float:
    """Operations of a block for the gradients of a dense layer's weights and biases.

    One image at a time, outputs without a gradient are left out; of a block of images none is.
    """
    if shape.block == 1:
        return 2 * layer.inputs * alive + layer.outputs
    return float(shape.lanes * (2 * layer.weights + layer.outputs))


def gradients(network: Network, shape: Shape, images: int, alive: Sequence[float]) -> float:
    """Operations for the gradients of all weights.

    An attack's step, but for the step itself and the gradient of the first layer's input, and the
    weights' gradients. Arguments as of `attack_step`.
    """
    blocks = -(-images // shape.block)
    works = attack_step(network, shape, images, 1, alive)
    whole = works[-1].flops - step(network, shape, images)
    unwanted = sum(
        work.flops
        for work in works[:-1]
        if work.layer == 1 and work.direction == "backward" and work.kind != ALL
    )
    own = sum(convolution(conv, shape) for conv in network.convolutions) + sum(
        dense(layer, shape, units) for layer, units in zip(network.dense, alive, strict=True)
    )
    return whole - unwanted + blocks * own


def step(network: Network, shape: Shape, images: int) -> float:
    """Operations of an attack's step itself."""
    blocks = -(-images // shape.block)
    if shape.block == 1:
        return float(blocks * STEP * _padded(network.pixels, shape.lanes))
    return float(blocks * STEP * network.pixels * shape.lanes)


def forward(network: Network, shape: Shape, images: int, alive: Sequence[float]) -> float:
    """Operations of the layers, forward."""
    works = attack_step(network, shape, images, 1, alive)
    return sum(
        work.flops for work in works
        if work.layer > 0 and work.direction == "forward" and work.kind != ALL
    )  # fmt: skip
