"""Work of the layout with places of one image in the lanes.

Counted in ``cpp/tile_chain.hpp``, ``tile_direct.hpp``, ``tile_winograd.hpp``, ``tile_gate.hpp``,
``tile_dense.hpp``; all of one image, a mean where images differ. Lanes behind the last place are
computed like others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernels.counts.dense_rows import Rows
from kernels.counts.sparsity import Alive
from kernels.counts.tile import groups
from kernels.counts.tile.regions import Regions
from kernels.counts.tile.tiles import Direct, Tiles, vectors
from kernels.counts.transforms import input_adjoint, output_adjoint
from kernels.counts.work import FLOAT, LOOK_FOR_TIES, MARK, STEP, TIES_BOUND, Shape, Work, objective
from sparring.fused.network import Convolution, Dense, Network
from sparring.fused.winograd import (
    input_operations,
    output_operations,
    uses_winograd,
    winograd_points,
)

#: Parts of a layer in one direction, and the bytes that are compulsory for it as a whole.
Parts = tuple[list[Work], float]


def convolution(network: Network, conv: Convolution, layer: int, shape: Shape) -> Iterator[Parts]:
    """A convolution, forward and backward, with its ReLU, pooling and their way back."""
    parts = _winograd if uses_winograd(conv) else _direct
    last = layer == len(network.convolutions)
    for direction in ("forward", "backward"):
        yield parts(conv, layer, direction, shape.lanes, last)


def _planes(conv: Convolution) -> tuple[int, int, int]:
    """Numbers of a layer's input, of the convolution's output, and of the layer's."""
    return (
        conv.height * conv.width * conv.in_channels,
        conv.conv_height * conv.conv_width * conv.out_channels,
        conv.out_height * conv.out_width * conv.out_channels,
    )


def _direct(conv: Convolution, layer: int, direction: str, lanes: int, last: bool) -> Parts:
    taken, raw, left = (FLOAT * numbers for numbers in _planes(conv))
    places, pairs = Direct.of(conv, lanes), conv.kernel**2 * conv.in_channels * conv.out_channels
    weights = FLOAT * conv.weights
    masks = 0
    if conv.relu or conv.pool:
        row = vectors(conv.out_width, lanes) * (4 if conv.pool else 1)
        masks = conv.out_channels * conv.out_height * row * _mask(lanes)
    gate = raw + left + masks
    multiply = taken + raw + weights
    vector = places.forward if direction == "forward" else places.backward
    padded = (conv.height + 2 * conv.padding) * (conv.width + 2 * conv.padding)
    if direction == "forward":  # for each block of outputs' channels all inputs
        kept = FLOAT * (padded * conv.in_channels + vector * lanes) + weights
    else:  # for each channel of inputs the gradient's of all outputs
        border = 2 * (conv.kernel - 1 - conv.padding)
        kept = FLOAT * (conv.conv_height + border) * (conv.width + 2 * conv.padding)
        kept = kept * conv.out_channels + weights
    return [
        Work(layer, direction, "other", 0, gate, gate / conv.out_channels),
        Work(layer, direction, "multiply", 2 * vector * lanes * pairs, multiply, kept),
    ], taken + left + masks + weights


def _mask(lanes: int) -> int:
    """Bytes of a vector's mask."""
    return 2 if lanes > 8 else 1


def to_frequencies(conv: Convolution, lanes: int) -> tuple[int, int]:
    """Operations from the inputs' pixels to x-frequencies, and on to those along y."""
    tiles, inputs = Tiles.of(conv, lanes), conv.in_channels
    line, squares = input_operations(tiles.points), 2 * tiles.points if conv.pool else 0
    along_x = inputs * tiles.side * tiles.within * (line + squares)
    return along_x * lanes, tiles.points * inputs * tiles.out * line * lanes


def adjoint_from_outputs(conv: Convolution, lanes: int) -> int:
    """Operations from the outputs' gradient to that of the products."""
    tiles = Tiles.of(conv, lanes)
    lines = (tiles.side + tiles.points) * tiles.out * conv.out_channels
    return lines * output_adjoint(tiles.points, tiles.side) * lanes


def _forward_transforms(conv: Convolution, lanes: int) -> int:
    tiles = Tiles.of(conv, lanes)
    line = output_operations(tiles.points, tiles.side)
    rows = tiles.given * (2 if conv.pool else 1)
    back = conv.out_channels * tiles.out * (tiles.points * line + rows * (line + tiles.side))
    if conv.pool:  # norms of tiles, and whether pixels are equal, by the first channel
        ties = tiles.given * (TIES_BOUND + tiles.given * LOOK_FOR_TIES)
        back += tiles.out * (tiles.points + ties)
    return sum(to_frequencies(conv, lanes)) + back * lanes


def _backward_transforms(conv: Convolution, lanes: int) -> int:
    """The adjoints, with the additions of what overlaps: of rows, then of columns."""
    tiles, inputs = Tiles.of(conv, lanes), conv.in_channels
    line = input_adjoint(tiles.points)
    to_y = tiles.points * (tiles.out * line + tiles.within * tiles.overlap)
    to_x = tiles.side * tiles.within * line
    to_x += conv.height * vectors(tiles.across + 1, lanes) * tiles.overlap
    return adjoint_from_outputs(conv, lanes) + inputs * (to_y + to_x) * lanes


def _winograd(conv: Convolution, layer: int, direction: str, lanes: int, last: bool) -> Parts:
    tiles = Tiles.of(conv, lanes)
    inputs, outputs = conv.in_channels, conv.out_channels
    forward = direction == "forward"
    flops = (_forward_transforms if forward else _backward_transforms)(conv, lanes)
    taken, _, left = _planes(conv)
    given = outputs * tiles.given**2 * tiles.out  # vectors
    # Between the two kinds of stages: every tile's numbers, of each input and each output.
    between = FLOAT * tiles.points**2 * tiles.out * lanes * (inputs + outputs)
    masks = given * (4 if conv.pool else 1) * _mask(lanes)
    # The last layer hands on its tiles as they are.
    outside = FLOAT * (taken + (given * lanes if last else left)) + masks
    weights = FLOAT * tiles.points**2 * inputs * outputs
    lines = tiles.points * tiles.side * (inputs * tiles.within + outputs * tiles.out)
    piece = between // tiles.points  # of one x-frequency
    return [
        Work(layer, direction, "transform", flops, between + outside,
             FLOAT * lines * lanes + outside + piece),
        Work(layer, direction, "multiply",
             2 * tiles.points**2 * tiles.out * lanes * inputs * outputs,
             between + weights, piece + weights),
    ], outside + weights  # fmt: skip


def dense(
    network: Network, layer: Dense, number: int, shape: Shape, alive: Alive, images: int
) -> Iterator[Parts]:
    """A dense layer: only the inputs that are listed, all outputs.

    Forward each walk over the list has several sums, which are added up at its end. Backward the
    lanes of an input's products are summed.
    """
    lanes, rows = shape.lanes, Rows.of(layer, shape.registers)
    # A block's images walk over the rows that any of them needs.
    weights = FLOAT * rows.numbers * alive.rows
    brought = weights * -(-images // shape.block) / images
    forward = sum(groups.forward(rows, group, lanes) for group in alive.groups) / images
    backward = sum(groups.backward(rows, group, lanes) for group in alive.groups) / images
    grouped = sum(group.images * groups.padded(group, lanes) for group in alive.groups)
    own = alive.listed - grouped / images
    own_back = own + sum(group.apart for group in alive.groups) / images
    if alive.groups:
        walks = 1 - sum(group.images for group in alive.groups) / images
    else:
        many = _together(images, shape.block) / images
        number_of = number - len(network.convolutions) - 1
        count = Regions.of(network, number_of, lanes, shape.registers).count
        walks = many * count + 1 - many
    for panel, width in enumerate(rows.widths):
        held = width // lanes
        apart = (1 if held >= 8 else 2 if held >= 4 else 4) - 1
        outputs = width + (rows.tail_lanes if panel == 0 else 0)
        forward += (2 * own + walks * apart) * outputs
        # The first vector is multiplied only; what a panel finds joins what others found.
        backward += own_back * ((2 * held - 1) * lanes + lanes - 1 + (panel > 0))
    if rows.tail:
        backward += own_back * (rows.tail_lanes + lanes)
    listed, left = FLOAT * alive.listed, FLOAT * layer.outputs
    places = FLOAT * layer.inputs
    whole = places + brought + left
    yield (
        [
            Work(number, "forward", "other", 0, places + listed + 2 * left, places + listed),
            Work(number, "forward", "multiply", forward, 2 * listed + brought + left,
                 weights + 2 * listed),
        ],
        whole,
    )  # fmt: skip
    yield (
        [Work(number, "backward", "multiply", backward, 2 * listed + brought + left,
              weights + 2 * listed)],
        2 * listed + brought + left,
    )  # fmt: skip


def _together(images: int, block: int) -> int:
    """Images that go through the dense layers with others."""
    rest = images % block
    return 0 if block == 1 else images - (rest if rest == 1 else 0)


def weight_bytes(network: Network, shape: Shape, alive: Sequence[Alive], images: int) -> float:
    """Packed weights that a step reads: convolutions have a copy for each direction."""
    numbers: float = sum(
        2 * (winograd_points(conv)**2 * conv.in_channels * conv.out_channels if uses_winograd(conv)
             else conv.weights)
        for conv in network.convolutions
    )  # fmt: skip
    for layer, own in zip(network.dense, alive, strict=True):
        numbers += Rows.of(layer, shape.registers).numbers * own.rows
    return FLOAT * numbers * -(-images // shape.block) / images


def outside(network: Network, shape: Shape, steps: int) -> Work:
    """What belongs to no layer: the image to the first layer and its gradient, objective, step."""
    pixels = network.pixels
    padded = vectors(pixels, shape.lanes) * shape.lanes
    flops = (STEP + MARK) * padded + objective(network.classes) + (3 * pixels if network.std else 0)
    numbers = 4 * pixels + 4 * padded + 2 * network.classes + 6 * pixels / steps
    return Work(0, "forward", "other", flops, FLOAT * numbers, FLOAT * 3 * pixels)
