"""What the stages of the fused engine compute and move, counted from shapes.

FLOPs are additions, subtractions, multiplications and divisions of float32 numbers, a multiply-add
as two, a transcendental function as one; comparisons, minima, maxima, masks and the few square
roots of tiles' norms are none. Those
*executed* are counted in the kernels' source: products of a lane without an image, or of a channel
or pixel that only pads, are executed as well; multiplications by exactly 1, which compilers leave
out, are not. *Nominal* ones are the direct algorithm's, for the images that there are; padding
pixels count.

Bytes are compulsory ones: for every block of images the stage's weights once, and each number that
it takes from another stage or leaves to one once; what it writes and reads again itself is none. A
stage's *working set* is the memory that it goes through before it comes back to the same place, as
if it had the caches to itself.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace

from sparring.fused.layouts import Layout, images_together
from sparring.fused.machine import Isa
from sparring.fused.network import Convolution, Dense, Network
from sparring.fused.winograd import uses_winograd

#: Kinds of stages, in the order of ``cpp/stages.hpp``.
KINDS = ("other", "transform", "multiply", "weights")
DIRECTIONS = ("forward", "backward")
#: The kind of a row that stands for all kinds.
ALL = "all"
#: The layer of a row that stands for all layers.
ATTACK_STEP = -1
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Work:
    """What one stage does in one attack step.

    Attributes:
        layer: 0 for what belongs to none, layers count from 1; or `ATTACK_STEP`.
        direction: "forward", "backward", or `ALL`.
        kind: one of `KINDS`, or `ALL`.
        flops: executed.
        bytes: compulsory.
        working_set: bytes.
        flops_nominal: of the direct algorithm; None where a stage is only a part of it.
    """

    layer: int
    direction: str
    kind: str
    flops: float
    bytes: float
    working_set: float
    flops_nominal: float | None = None

    def times(self, count: int) -> Work:
        """Of so many blocks of images, or images, one after another."""
        direct = None if self.flops_nominal is None else self.flops_nominal * count
        return replace(
            self, flops=self.flops * count, bytes=self.bytes * count, flops_nominal=direct
        )


@dataclass(frozen=True)
class Shape:
    """How a layout of the kernels (`sparring.fused.layouts`) lays images in vectors.

    Attributes:
        layout: "wide", an image to a lane; or "tile", places of one image in the lanes.
        lanes: floats in a vector.
        block: images that are computed together: ``lanes``; in tiles, those that go through the
            dense layers together.
        registers: vector registers that blocks of sums may fill.
        blocks: that go through the dense layers together.
    """

    layout: str
    lanes: int
    block: int
    registers: int = 16
    blocks: int = 1

    @classmethod
    def of(cls, layout: Layout, isa: Isa, network: Network, images: int, threads: int) -> Shape:
        """The shape in which a layout attacks a batch (``block_of`` in ``cpp/engine.cpp``)."""
        wider = isa.name == "avx512" or platform.machine() == "aarch64"
        registers = 32 if wider else 16
        share = -(-images // threads)
        if layout.name != "wide":
            return cls(layout.name, isa.lanes, min(max(share, 1), TILE_BLOCK), registers)
        count = max(1, -(-images // isa.lanes))
        most = max(1, images_together(network, registers) // isa.lanes)
        turns = -(-count // (most * threads)) * threads
        return cls(layout.name, isa.lanes, isa.lanes, registers, -(-count // turns))

    @property
    def together(self) -> int:
        """Images that go through the dense layers together."""
        return self.block * self.blocks


#: Images in a block of tiles, at most (``cpp/tile_chain.hpp``).
TILE_BLOCK = 8


def nominal(layer: Convolution | Dense) -> int:
    """Operations of one image, in either direction, by the layer's definition."""
    if isinstance(layer, Dense):
        return 2 * layer.inputs * layer.outputs
    return 2 * layer.conv_height * layer.conv_width * layer.kernel**2 * (
        layer.in_channels * layer.out_channels
    )  # fmt: skip


def objective(classes: int) -> int:
    """Operations of one image's cross-entropy gradient (``cpp/objective.hpp``, ``engine.cpp``).

    For every class but the true one a difference, an exponential, a sum; seven for the odds and
    their scale; the scaling of all, twice.
    """
    return 3 * (classes - 1) + 7 + 2 * classes


#: Operations of a step along the sign, for each pixel (``cpp/ascent.hpp``): up - down, x + that,
#: centre + epsilon, centre - epsilon.
STEP = 4
#: What the kernels do besides: the mark of a gradient that is no number, and its addition.
MARK = 2
#: Operations of the search for equal pixels under a pooling window behind Winograd tiles
#: (``cpp/ties.hpp``): the bound, and the six differences. Counted for one channel, which most often
#: tells that there are none.
TIES_BOUND, LOOK_FOR_TIES = 2, 6


def name(network: Network, layer: int) -> str:
    """A layer's name: conv1, conv2, ..., linear1, ...; ``step`` is what belongs to none."""
    if layer == ATTACK_STEP:
        return "attack_step"
    if layer == 0:
        return "step"
    convolutions = len(network.convolutions)
    return f"conv{layer}" if layer <= convolutions else f"linear{layer - convolutions}"


def algorithm(network: Network, layer: int) -> str:
    """How a layer is computed: "winograd" or "direct"."""
    convolution = 1 <= layer <= len(network.convolutions)
    chosen = convolution and uses_winograd(network.convolutions[layer - 1])
    return "winograd" if chosen else "direct"
