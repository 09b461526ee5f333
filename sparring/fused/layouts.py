"""Which layout of the kernel takes which images of a batch.

Two kernels do the same work: *wide*, as many images as the machine's vectors have lanes; *tile*, a
few images, each with places of its own in the lanes. The choice depends on the batch and the
number of threads alone, never on a measurement, so that a run can be repeated bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparring.fused.machine import Isa
from sparring.fused.network import AnyConvolution, Convolution, Network


@dataclass(frozen=True)
class Layout:
    """One way to lay images in vectors.

    Attributes:
        name: ``"wide"`` or ``"tile"``.
        defines: what the kernel is compiled with.
        block: images that one thread takes at a time, at least.
        cost: time of a block, over that of a wide one (measured on the study's network).
    """

    name: str
    defines: tuple[tuple[str, int | str], ...]
    block: int
    cost: float


def layouts(isa: Isa) -> tuple[Layout, ...]:
    """The layouts of a machine, wide first."""
    lanes = isa.lanes
    wide = Layout("wide", (("LAYOUT", "WIDE"), ("LANES", lanes)), lanes, 1.0)
    tile = Layout("tile", (("LAYOUT", "TILE"), ("LANES", lanes)), 1, _TILE_COST[lanes])
    return (wide, tile)


def layouts_of(network: Network, isa: Isa) -> tuple[Layout, ...]:
    """The layouts that can compute a network.

    Tiles know no strides, one kind of pooling, and no activation but ReLU.
    """
    tiled = all(isinstance(layer, Convolution) and layer.stride == 1 for layer in network.front)
    tiled &= all(dense.curve is None for dense in network.dense)
    return layouts(isa) if tiled else layouts(isa)[:1]


#: Time of an image in tiles, over that of a wide block, by lanes: somewhat more than its share, and
#: with 16 lanes between what trained and what initial weights make of it.
_TILE_COST = {16: 1.2 / 16, 8: 1.05 / 8, 4: 1.05 / 4}


#: Images that go through dense layers together in the layout *wide*, at most.
_TOGETHER = 64
#: By vector registers: where that is worth it. The layers' part of a network's multiplications, as
#: it is written down, is at least one in so many, and the first has at least so many outputs: its
#: weights, and not its inputs, are what it reads.
_WORTH, _OUTPUTS = {32: 100, 16: 30}, {32: 96, 16: 128}
#: With 32 half as many where the first layer, behind convolutions, has so many weights: what fills
#: half of a second-level cache, and the inputs of more images, would leave each other no room.
#: (More weights have none in any case.)
_HALF_A_CACHE = range(64 * 1024, 512 * 1024)


def images_together(network: Network, registers: int) -> int:
    """Images whose blocks wait for each other before the dense layers of the layout *wide*.

    ``registers``: vectors that the processor's registers hold, 16 or 32.
    """
    if not network.front:
        return _TOGETHER
    dense = sum(layer.weights for layer in network.dense)
    before = sum(
        layer.weights * layer.conv_height * layer.conv_width
        for layer in network.front
        if isinstance(layer, Convolution | AnyConvolution)
    )
    first = network.dense[0]
    if dense * _WORTH[registers] < before or first.outputs < _OUTPUTS[registers]:
        return 1
    half = registers == 32 and first.weights in _HALF_A_CACHE
    return _TOGETHER // 2 if half else _TOGETHER


@dataclass(frozen=True)
class Piece:
    """Images ``images`` of a batch, for layout number ``layout``."""

    layout: int
    images: slice


def plan(count: int, threads: int, kinds: tuple[Layout, ...]) -> list[Piece]:
    """Split a batch of ``count`` images so that the slowest thread ends earliest.

    Either one layout takes all, or wide blocks take as many images as they can fill, or fill for
    all threads alike, and one layout the rest.
    """
    wide = kinds[0].block
    best, least = [Piece(0, slice(0, count))], float("inf")
    for full in sorted({0, count - count % wide, count - count % (wide * threads)}):
        for number, kind in enumerate(kinds):
            rest = count - full
            if rest == 0 and number > 0:
                continue
            time = _rounds(full, wide, threads) + _rounds(rest, kind.block, threads) * kind.cost
            if time < least - 1e-9:
                least = time
                best = [Piece(0, slice(0, full))] if full else []
                if rest:
                    best.append(Piece(number, slice(full, count)))
    return best


def _rounds(images: int, block: int, threads: int) -> int:
    blocks = -(-images // block)
    return -(-blocks // threads)
