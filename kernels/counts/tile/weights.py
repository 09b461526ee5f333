"""What tiles of one image compute for the gradients of weights, of one image.

Counted in ``cpp/tile_direct.hpp``, ``tile_winograd.hpp``, ``tile_winograd_gradient.hpp``,
``tile_dense.hpp``.
"""

from __future__ import annotations

from kernels.counts.dense_rows import Rows
from kernels.counts.tile.attack import to_frequencies
from kernels.counts.tile.tiles import Direct, Tiles, vectors
from kernels.counts.work import Shape
from sparring.fused.network import Convolution, Dense
from sparring.fused.winograd import uses_winograd


def convolution(conv: Convolution, shape: Shape) -> int:
    """Operations for the gradients of a convolution's weights and biases.

    Winograd tiles are transformed again, since nothing of the way forward is kept; the lanes of
    each frequency's products are added up at once.
    """
    lanes, inputs, outputs = shape.lanes, conv.in_channels, conv.out_channels
    if not uses_winograd(conv):
        run = Direct.of(conv, lanes).run
        return lanes * (conv.weights * (2 * run + 1) + outputs * run)
    tiles = Tiles.of(conv, lanes)
    biases = outputs * lanes * (tiles.side**2 * tiles.out + 1)
    full, rest = divmod(outputs, lanes)
    sums = (full + (rest > 0)) * (lanes - 1) * lanes + outputs
    pieces = vectors(tiles.out, piece(conv, tiles, lanes))
    frequencies = tiles.points**2 * inputs * (2 * tiles.out * outputs * lanes + pieces * sums)
    return sum(to_frequencies(conv, lanes)) + biases + frequencies


def piece(conv: Convolution, tiles: Tiles, lanes: int) -> int:
    """Vectors of tiles that go through a frequency together."""
    size = 4 * lanes * tiles.points * (conv.in_channels + conv.out_channels) * tiles.out
    return tiles.out if tiles.out <= 2 or size <= 24 * 1024 else 2


def dense(layer: Dense, shape: Shape) -> int:
    """Operations for the gradients of a dense layer's weights and biases."""
    rows = Rows.of(layer, shape.registers)
    return 2 * layer.inputs * (sum(rows.widths) + rows.tail_lanes) + layer.outputs
