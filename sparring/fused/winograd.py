"""Which convolutions are computed by Winograd tiles, and what those cost.

A tile has as many inputs along a side as the one-dimensional transform has points
(``cpp/winograd.hpp``); its outputs are ``points + 1 - kernel``. A stride is one of 1 on images of
several pixels in one, with the smaller kernel that is left: 2 of a 4x4 one with a stride of 2.
"""

from __future__ import annotations

from sparring.fused.network import Convolution

#: What a number that a transform loads or stores costs, in operations.
_ACCESS = 4.0
#: What a weight costs besides its products, in operations, beyond so many, which a near cache may
#: hold until the next block of images: the others come from a far one with every block.
_WEIGHT, _NEAR = 2.0, 16 * 1024
#: Part of the work that tiles may leave of a convolution with strides, whose rows that wait for
#: each other are several times as many numbers as without tiles.
_LEFT_OF_STRIDES = 0.9


def winograd_points(conv: Convolution) -> int:
    """Points of the Winograd tiles that take the least work.

    0 where the convolution as it is written down takes less. That leaves layers behind a single
    input channel direct, where Winograd would gain little, and where equal pixels of a plain
    background then stay exactly equal.
    """
    share = _LEFT_OF_STRIDES if conv.stride > 1 else 1.0
    direct = 2 * conv.conv_height * conv.conv_width * conv.weights + _fetched(conv.weights)
    work = {points: _work(conv, points) for points in _known(conv)}
    best = min(work, key=lambda points: work[points], default=0)
    return best if best and work[best] < share * direct else 0


def uses_winograd(conv: Convolution) -> bool:
    """Whether a convolution is computed by Winograd tiles."""
    return winograd_points(conv) > 0


def winograd_outputs(conv: Convolution) -> int:
    """Outputs along each side of a Winograd tile, or 0 where there are none."""
    points = winograd_points(conv)
    return points + 1 - conv.kernel // conv.stride if points else 0


def winograd_tiles(conv: Convolution) -> int:
    """Tiles that cover the convolution's output, those that reach beyond it included."""
    return _tiles(conv, winograd_outputs(conv))


def input_operations(points: int) -> int:
    """Operations of a one-dimensional transform of the inputs, B' d.

    With 8 points: 4 + 4 for 0 and infinity, 8 for +-1, 11 each for +-2 and +-1/2; with 7 all but 0;
    with 6: 4 + 4, 6 for +-1 and 5 for +-2; with 5: 4, 6 for +-1 and 5 for +-1/2.
    """
    return {8: 38, 7: 34, 6: 19, 5: 15}[points]


def output_operations(points: int, outputs: int) -> int:
    """Operations of a one-dimensional transform to the outputs, A' m.

    With 8 points 6 for the sums and differences, 2 for the first output, 4 for the others, 2 for
    the ends; with 6, which have a pair of points less, 4, 1, 2 and 2; with one point less, which
    lack 0, one less for the ends.
    """
    pairs, ends = (points - 1) // 2, 2 - points % 2
    return 2 * pairs + pairs - 1 + 2 * (pairs - 1) * (outputs - 1) + ends


def _known(conv: Convolution) -> tuple[int, ...]:
    """Points of the tiles that the kernels have for a convolution."""
    reach, rest = divmod(conv.kernel, conv.stride)
    if rest or (conv.pool and conv.stride > 1):
        return ()
    known = {2: (8, 7, 6, 5) if conv.stride > 1 else (), 3: (8, 7, 6, 5), 4: (8, 7), 5: (8,)}
    # A pooling window must lie within one tile, which takes an even side.
    return tuple(f for f in known.get(reach, ()) if not conv.pool or (f + 1 - reach) % 2 == 0)


def _tiles(conv: Convolution, side: int) -> int:
    return -(-conv.conv_height // side) * -(-conv.conv_width // side)


def _work(conv: Convolution, points: int) -> float:
    """Operations of all tiles; those of a transform are few beside its loads and stores."""
    side = points + 1 - conv.kernel // conv.stride
    inputs = conv.in_channels * conv.stride**2
    of_input = 2 * points * (input_operations(points) + 2 * points * _ACCESS)
    line = output_operations(points, side) + (points + side) * _ACCESS
    transforms = of_input * inputs + (points + side) * line * conv.out_channels
    weights = points**2 * inputs * conv.out_channels
    return _tiles(conv, side) * (2 * weights + transforms) + _fetched(weights)


def _fetched(weights: int) -> float:
    return _WEIGHT * max(0, weights - _NEAR)
