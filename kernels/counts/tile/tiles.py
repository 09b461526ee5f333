"""How the layout with places of one image in the lanes cuts a layer into vectors."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.fused.network import Convolution
from sparring.fused.winograd import winograd_outputs, winograd_points


def vectors(count: float, lanes: int) -> int:
    """Vectors that hold so many numbers."""
    return int(-(-count // lanes))


@dataclass(frozen=True)
class Direct:
    """The vectors of a convolution that is computed as it is written down.

    Attributes:
        forward: of outputs, of one channel.
        run: of the gradient's pixels in one run over all rows, of one channel.
        backward: of the input's gradient, of one channel.
    """

    forward: int
    run: int
    backward: int

    @classmethod
    def of(cls, conv: Convolution, lanes: int) -> Direct:
        """As ``TileDirect`` cuts them: row by row, or all rows in one run where that is less."""
        width = conv.width + 2 * conv.padding
        run = vectors((conv.conv_height - 1) * width + conv.conv_width, lanes)
        rows = conv.conv_height * vectors(conv.conv_width, lanes)
        return cls(min(run, rows), run, conv.height * vectors(conv.width, lanes))


@dataclass(frozen=True)
class Tiles:
    """The Winograd tiles of a convolution, and their vectors.

    Attributes:
        points: inputs along a side of a tile.
        side: outputs along a side of a tile.
        across: tiles in a row.
        out: vectors of tiles.
        within: of tiles and one row of tiles more, which tiles reach into.
        given: pixels along a side of what is left of a tile, after pooling.
    """

    points: int
    side: int
    across: int
    out: int
    within: int
    given: int

    @classmethod
    def of(cls, conv: Convolution, lanes: int) -> Tiles:
        """As ``TileWinograd`` has them."""
        side = winograd_outputs(conv)
        across, down = -(-conv.conv_width // side), -(-conv.conv_height // side)
        return cls(
            winograd_points(conv), side, across, vectors(across * down, lanes),
            vectors(across * (down + 1), lanes), side // 2 if conv.pool else side,
        )  # fmt: skip

    @property
    def overlap(self) -> int:
        """Rows, and columns, in which a tile's inputs are the next one's too."""
        return self.points - self.side
