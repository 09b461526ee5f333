"""Which Winograd tiles a convolution gets."""

from __future__ import annotations

import pytest

from sparring.fused.network import Convolution
from sparring.fused.winograd import (
    uses_winograd,
    winograd_outputs,
    winograd_points,
    winograd_tiles,
)


def square(channels, size, kernel, padding, *, pool=False, stride=1):
    return Convolution(channels, size, size, channels, kernel, padding, True, pool, stride)


@pytest.mark.parametrize(
    ("conv", "points", "outputs", "tiles"),
    [
        (square(64, 26, 3, 0), 8, 6, 16),  # 24 = 4 x 6
        (square(64, 34, 3, 0), 6, 4, 64),  # 32 = 8 x 4
        (square(64, 8, 3, 1), 6, 4, 4),
        (square(64, 8, 3, 1, pool=True), 6, 4, 4),
        (square(64, 12, 5, 0), 8, 4, 4),
        (square(64, 13, 4, 0), 8, 5, 4),
        # Without 0 among the points, which no pooling may follow where the outputs are odd.
        (square(64, 12, 3, 0), 7, 5, 4),
        (square(64, 12, 3, 0, pool=True), 8, 6, 4),
        (square(64, 3, 3, 1), 5, 3, 1),
        (square(64, 3, 3, 1, pool=True), 6, 4, 1),
        (square(64, 11, 4, 0), 7, 4, 4),
        (square(64, 13, 4, 0, pool=True), 7, 4, 9),  # windows would lie across tiles of 5
        # As 2x2 kernels on images of half the size, and 3x3 ones.
        (square(64, 14, 4, 1, stride=2), 8, 7, 1),
        (square(32, 26, 4, 0, stride=2), 7, 6, 4),
        (square(64, 10, 4, 0, stride=2), 5, 4, 1),
        (square(64, 18, 6, 0, stride=2), 6, 4, 4),
        (square(64, 21, 6, 0, stride=3), 7, 6, 1),
    ],
)
def test_tiles_that_reach_little_over_the_edge_are_taken(conv, points, outputs, tiles):
    assert winograd_points(conv) == points
    assert winograd_outputs(conv) == outputs
    assert winograd_tiles(conv) == tiles
    assert uses_winograd(conv)


@pytest.mark.parametrize(
    "conv",
    [
        square(1, 26, 3, 0),
        square(64, 2, 3, 1),
        square(64, 26, 3, 0, stride=2),
        square(64, 14, 4, 1, pool=True, stride=2),
        square(64, 14, 2, 0, stride=2),
        square(12, 16, 4, 0, stride=2),  # nine tenths of the work would be left
        square(512, 2, 3, 1),  # of whose many weights there would be too many more
        square(64, 26, 2, 0),
    ],
)
def test_others_are_computed_as_they_are_written_down(conv):
    assert winograd_points(conv) == winograd_outputs(conv) == 0
    assert not uses_winograd(conv)
