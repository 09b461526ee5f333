"""What the stages of the fused engine compute and move, counted from shapes.

FLOPs are additions, subtractions, multiplications and divisions of float32 numbers, a multiply-add
as two, a transcendental function as one; comparisons, minima, maxima and masks are none. Those
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

from dataclasses import dataclass, replace

from sparring.fused.header import uses_winograd
from sparring.fused.network import Convolution, Dense, Network

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

    def times(self, blocks: int) -> Work:
        """Of so many blocks of images, one after another."""
        direct = None if self.flops_nominal is None else self.flops_nominal * blocks
        return replace(
            self, flops=self.flops * blocks, bytes=self.bytes * blocks, flops_nominal=direct
        )


@dataclass(frozen=True)
class Shape:
    """How a layout of the kernels (`sparring.fused.layouts`) lays images in vectors.

    Attributes:
        lanes: floats in a vector.
        block: images that are computed together: ``lanes``, or 1 with channels in the lanes.
    """

    lanes: int
    block: int


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


def name(network: Network, layer: int) -> str:
    """A layer's name: conv1, conv2, ..., linear1, ...; ``step`` is what belongs to none."""
    if layer == ATTACK_STEP:
        return "attack_step"
    if layer == 0:
        return "step"
    convolutions = len(network.convolutions)
    return f"conv{layer}" if layer <= convolutions else f"linear{layer - convolutions}"


def algorithm(network: Network, layer: int, shape: Shape) -> str:
    """How a layer is computed: "winograd" or "direct"."""
    in_lanes = shape.block > 1 and 1 <= layer <= len(network.convolutions)
    chosen = in_lanes and uses_winograd(network.convolutions[layer - 1])
    return "winograd" if chosen else "direct"
