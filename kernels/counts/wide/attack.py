"""Work of the layouts with images in the lanes: a vector holds one number of every image.

Counted in ``cpp/batch_chain.hpp``, ``direct_convolution.hpp``, ``winograd_convolution.hpp``,
``winograd_whole.hpp``, ``gate.hpp``, ``winograd_norms.hpp``, ``dense_layer.hpp``; all of one block
of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernels.counts.kernel_overlap import rows_met
from kernels.counts.sparsity import Alive
from kernels.counts.transforms import input_adjoint, output_adjoint
from kernels.counts.work import FLOAT, LOOK_FOR_TIES, MARK, STEP, TIES_BOUND, Shape, Work, objective
from sparring.fused.network import Convolution, Dense, Network
from sparring.fused.winograd import (
    input_operations,
    output_operations,
    uses_winograd,
    winograd_outputs,
    winograd_points,
    winograd_tiles,
)

#: Parts of a layer in one direction, and the bytes that are compulsory for it as a whole.
Parts = tuple[list[Work], float]


def convolution(network: Network, conv: Convolution, layer: int, shape: Shape) -> Iterator[Parts]:
    """A convolution, forward and backward, with its ReLU, pooling and their way back."""
    vec, lanes = FLOAT * shape.lanes, shape.lanes
    taken = conv.height * conv.width * conv.in_channels * vec
    left = conv.out_height * conv.out_width * conv.out_channels * vec
    masks = _mask_bytes(conv, lanes)
    weights = _weights(conv) * FLOAT
    for direction in ("forward", "backward"):
        parts = [_gate(conv, layer, direction, shape)]
        if uses_winograd(conv):
            parts += _winograd(conv, layer, direction, shape)
        else:
            parts += _direct(conv, layer, direction, shape)
        if direction == "backward" and layer == 1:
            parts[0] = _with_image(parts[0], network, lanes)
        yield parts, taken + left + masks + weights


def _direct(conv: Convolution, layer: int, direction: str, shape: Shape) -> list[Work]:
    """The products of a convolution as it is written down.

    A row of outputs takes its ``kernel`` rows of inputs, less those beyond the image; pixels
    beyond its left and right side are zeros that are multiplied like others. Backward the
    convolution's output is the input.
    """
    lanes, kernel = shape.lanes, conv.kernel
    vec, forward = FLOAT * lanes, direction == "forward"
    border = conv.padding if forward else kernel - 1 - conv.padding
    here, there = (conv.height, conv.width), (conv.conv_height, conv.conv_width)
    (rows_in, width_in), (rows_out, width_out) = (here, there) if forward else (there, here)
    channels = (conv.in_channels, conv.out_channels)
    inputs, outputs = channels if forward else channels[::-1]
    met = rows_met(rows_out, rows_in, kernel, border)
    weights = conv.weights * FLOAT
    moved = (rows_in * width_in * inputs + rows_out * width_out * outputs) * vec + weights
    ring = kernel if forward else max(kernel, 4)
    kept = (ring * (width_in + 2 * border) * inputs + width_out * outputs) * vec + weights
    across = kernel * width_out
    if not forward and without_copy(conv, shape):
        met, across = kernel * rows_in, rows_met(width_out, width_in, kernel, border)
        moved += _mask_bytes(conv, lanes)
        if conv.pool:
            pooled = conv.out_height * conv.out_width
            moved -= (rows_in * width_in - pooled) * inputs * vec
        kept = (width_in * inputs + kernel * width_out * outputs) * vec + weights
    flops = 2 * met * across * inputs * outputs * lanes
    return [Work(layer, direction, "multiply", flops, moved, kept)]


def without_copy(conv: Convolution, shape: Shape) -> bool:
    """Whether attacks multiply the gradient behind ReLU and pooling as they read it.

    To one channel, by a kernel of which all weights stay in registers, with sums of as many pixels
    at least as it is wide. Zeros beside an image are then left out, and products beyond it are not.
    """
    kernel = conv.kernel
    fits = kernel > 1 and (shape.registers - kernel**2 - 2) // kernel >= kernel
    even = not conv.pool or (conv.conv_height % 2 == 0 and conv.conv_width % 2 == 0)
    plain = conv.in_channels == 1 and conv.stride == 1 and not uses_winograd(conv)
    return plain and fits and even


def _winograd(conv: Convolution, layer: int, direction: str, shape: Shape) -> list[Work]:
    """The transforms and products of a convolution by two-dimensional Winograd tiles."""
    lanes, points = shape.lanes, winograd_points(conv)
    vec, whole = FLOAT * lanes, whole_tiles(conv, shape)
    tiles, weights = winograd_tiles(conv), _weights(conv) * FLOAT
    pixels = conv.conv_height * conv.conv_width * conv.out_channels
    products = 2 * tiles * points**2 * conv.in_channels * conv.out_channels
    # Between the two kinds of stages: every tile's numbers, of each input and each output.
    between = tiles * points**2 * (conv.in_channels + conv.out_channels) * vec
    outside = (conv.height * conv.width * conv.in_channels + pixels) * vec
    if whole:
        some, kept = _whole_numbers(conv, direction)
    else:
        some, kept = _row_numbers(conv, direction, lanes)
    return [
        Work(layer, direction, "transform", transforms(conv, direction, whole) * lanes,
             between + outside, (some + kept) * vec),
        Work(layer, direction, "multiply", products * lanes, between + weights,
             some * vec + weights),
    ]  # fmt: skip


def whole_tiles(conv: Convolution, shape: Shape) -> bool:
    """Whether attacks go through whole tiles, of a kernel that computes updates as well.

    Those of few channels, without pooling, whose products take the place of what they are made of.
    """
    fits = max(conv.in_channels, conv.out_channels) + 2 <= shape.registers
    return not conv.pool and fits and FLOAT * shape.lanes * _whole_tile(conv) <= 40 * 1024


def _whole_tile(conv: Convolution) -> int:
    """Numbers of a whole tile."""
    return winograd_points(conv) ** 2 * (max(conv.in_channels, conv.out_channels) | 1)


def transforms(conv: Convolution, direction: str, whole: bool) -> int:
    """Operations of the transforms of a convolution's Winograd tiles, with the bias.

    Forward: every input row along x; every row of tiles along y, of each x-frequency; its outputs
    back along y; every output row back along x, and the bias. Backward the adjoints, in the
    opposite order, with the additions of what overlaps: ``kernel - 1`` of a tile's rows, of its
    pixels. Through whole tiles, rows that two of them see are transformed for each.
    """
    points, side, overlap = winograd_points(conv), winograd_outputs(conv), conv.kernel - 1
    across, down = -(-conv.conv_width // side), -(-conv.conv_height // side)
    row_in, row_out = across * conv.in_channels, across * conv.out_channels
    if direction == "forward":
        rows = down * points if whole else conv.height
        operations = (rows + down * points) * row_in * input_operations(points)
        operations += (down * points + conv.conv_height) * row_out * output_operations(points, side)
        if conv.pool:  # squares of the inputs, by row of tiles
            reached = (across - 1) * side + points
            operations += conv.height * (reached * 2 * conv.in_channels + across * (points - 1))
        return operations + conv.conv_height * conv.conv_width * conv.out_channels
    if not whole:
        lines = (down * points + conv.height) * row_in
        return adjoint_from_outputs(conv) + lines * (input_adjoint(points) + overlap)
    added = points * (across - 1) + across * side + overlap  # of the tiles before, and above
    return down * (
        (side + points) * row_out * output_adjoint(points, side)
        + 2 * points * row_in * input_adjoint(points)
        + overlap * added * conv.in_channels
    )


def _row_numbers(conv: Convolution, direction: str, lanes: int) -> tuple[int, int]:
    """Numbers in the inner memory of rows of tiles, and in what waits for other rows."""
    points, side, overlap = winograd_points(conv), winograd_outputs(conv), conv.kernel - 1
    across = -(-conv.conv_width // side)
    row_in, row_out = across * conv.in_channels, across * conv.out_channels
    # `inputs_` and `outputs_`
    some = points * _together(conv, lanes) * (conv.in_channels + conv.out_channels)
    padded = across * side + overlap
    if direction == "forward":  # `ring`, `spectrum_`, and a row of each
        kept = points**2 * row_in + side * points * row_out
        kept += padded * conv.in_channels + conv.conv_width * conv.out_channels
    else:  # `spectrum_`, `rows` and `carry`, and a row of each
        kept = side * points * row_out + (side + overlap) * points * row_in
        kept += padded * conv.in_channels + across * side * conv.out_channels
    return some, kept


def _whole_numbers(conv: Convolution, direction: str) -> tuple[int, int]:
    """The same of whole tiles."""
    points, side, overlap = winograd_points(conv), winograd_outputs(conv), conv.kernel - 1
    across = -(-conv.conv_width // side) * side
    row_in, row_out = (across + overlap) * conv.in_channels, across * conv.out_channels
    if direction == "forward":  # `ring`, `waiting`, and the row that goes on
        return _whole_tile(conv), points * row_in + side * row_out
    return _whole_tile(conv), side * row_out + points * row_in  # `gradient`, `rows`, `carry`


def _together(conv: Convolution, lanes: int) -> int:
    """Tiles that go through a frequency together: as many as the first-level cache holds."""
    across = -(-conv.conv_width // winograd_outputs(conv))
    widest = max(conv.in_channels, conv.out_channels)
    fit = 28 * 1024 // (FLOAT * lanes * winograd_points(conv) * widest)
    return across if fit < 2 or fit >= across else -(-across // -(-across // fit))


def adjoint_from_outputs(conv: Convolution, lanes: int = 1) -> int:
    """Operations from the outputs' gradient of Winograd tiles to that of their products."""
    points, side = winograd_points(conv), winograd_outputs(conv)
    across, down = -(-conv.conv_width // side), -(-conv.conv_height // side)
    lines = (conv.conv_height + down * points) * across * conv.out_channels
    return lines * output_adjoint(points, side) * lanes


def _weights(conv: Convolution) -> int:
    """Numbers in one packed copy of the weights: forward and backward have one each."""
    if points := winograd_points(conv):
        return points**2 * conv.in_channels * conv.out_channels
    return conv.weights


def _mask_bytes(conv: Convolution, lanes: int) -> int:
    """One bit for each lane, in whole bytes, of each output or, pooled, of each pixel."""
    size = 2 if lanes > 8 else 1
    if conv.pool:
        return 4 * conv.out_height * conv.out_width * conv.out_channels * size
    if conv.relu:
        return conv.conv_height * conv.conv_width * conv.out_channels * size
    return 0


def _gate(conv: Convolution, layer: int, direction: str, shape: Shape) -> Work:
    """ReLU and pooling, or their way back: only loads and stores, and the search for ties."""
    lanes = shape.lanes
    vec, masks = FLOAT * lanes, _mask_bytes(conv, lanes)
    if direction == "backward" and without_copy(conv, shape):
        return Work(layer, direction, "other", 0, 0, 0)
    row = conv.conv_width * conv.out_channels * vec
    whole_output = conv.conv_height * row
    if conv.pool:
        pooled = conv.out_height * conv.out_width * conv.out_channels * vec
        moved, rows = whole_output + pooled, 3 * row
    elif conv.relu or direction == "backward":  # backward it copies, at least
        moved, rows = 2 * whole_output, 2 * row
    else:
        moved, rows = 0, 0
    flops = _ties(conv) * lanes if direction == "forward" else 0
    return Work(layer, direction, "other", flops, moved + masks, rows + masks)


def _ties(conv: Convolution) -> int:
    """Operations that find equal pixels: the norms of tiles, then each window's first channel."""
    if not (conv.pool and uses_winograd(conv)):
        return 0
    side = winograd_outputs(conv)
    across, down = -(-conv.conv_width // side), -(-conv.conv_height // side)
    rows = rows_met(down, conv.height, winograd_points(conv), conv.padding, side)
    return rows * across + conv.out_height * conv.out_width * (TIES_BOUND + LOOK_FOR_TIES)


def _with_image(gate: Work, network: Network, lanes: int) -> Work:
    """The first layer's gate, with the copy of each row of the image's gradient."""
    pixels = network.pixels
    flops = pixels * lanes if network.std else 0
    return Work(
        gate.layer, gate.direction, gate.kind, flops, gate.bytes + 2 * pixels * FLOAT * lanes,
        gate.working_set + pixels * FLOAT * lanes,
    )  # fmt: skip


def dense(
    network: Network, layer: Dense, number: int, shape: Shape, alive: Alive, images: int
) -> Iterator[Parts]:
    """A dense layer, which several blocks go through together: its weights come once for all.

    Backward, outputs without a gradient in any of those images are left out.

    Their operations are; their weights come by all the same, in the cache lines of their neighbours
    in a panel.
    """
    vec, lanes = FLOAT * shape.lanes, shape.lanes
    weights = layer.weights * FLOAT
    # Of a single block the rows of inputs stream through.
    rows = network.front[-1].out_height if network.front else 1
    streams = shape.blocks == 1 and number == len(network.convolutions) + 1
    held = layer.inputs // (rows if streams else 1)
    for direction, units in (("forward", float(layer.outputs)), ("backward", alive.outputs)):
        moved = weights / shape.blocks + (layer.inputs + units) * vec
        kept = weights + shape.blocks * (held + units) * vec
        flops = 2 * layer.inputs * units * lanes
        yield [Work(number, direction, "multiply", flops, moved, kept)], moved


def outside(network: Network, shape: Shape, steps: int) -> Work:
    """What belongs to no layer: the image to the first layer, the objective, the step.

    The image and the centre are loaded, and the image is stored, once in ``steps``; the step reads
    the gradient, the centre and the image and writes the image.
    """
    pixels, lanes, classes = network.pixels, shape.lanes, network.classes
    flops = ((STEP + MARK) * pixels + objective(classes)) * lanes
    flops += 2 * pixels * lanes if network.std else 0
    numbers = 4 * pixels + 2 * classes + 6 * pixels / steps
    if network.front or network.std:  # else the first layer takes the images themselves
        numbers += 2 * pixels
        if not network.front:  # the copy of the image's gradient, too
            flops += pixels * lanes if network.std else 0
            numbers += 2 * pixels
    vec = FLOAT * lanes
    return Work(0, "forward", "other", flops, numbers * vec, 3 * pixels * vec)


def weight_bytes(network: Network, shape: Shape, alive: Sequence[Alive], images: int) -> float:
    """Packed weights that a step reads: convolutions have a copy for each direction."""
    convolutions = sum(2 * _weights(conv) for conv in network.convolutions)
    dense = sum(layer.weights for layer in network.dense)
    return FLOAT * (convolutions + dense / shape.blocks)
