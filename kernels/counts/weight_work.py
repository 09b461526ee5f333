"""What the fused engine computes for the gradients of its weights, and in one update.

What comes once a call, and not for every block of images, is left out: sums over lanes, and the way
back through the transform of the filters.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernels.counts.accounting import attack_step
from kernels.counts.sparsity import Alive
from kernels.counts.tile import attack as tile_work
from kernels.counts.tile import weights as tile_weight_work
from kernels.counts.tile.tiles import vectors
from kernels.counts.wide import attack as batch_work
from kernels.counts.wide import weights as batch_weight_work
from kernels.counts.work import ALL, MARK, STEP, Shape
from sparring.fused.network import Network
from sparring.fused.winograd import uses_winograd


def gradients(network: Network, shape: Shape, images: int, alive: Sequence[Alive]) -> float:
    """Operations for the gradients of all weights.

    An attack's step, but for the step itself and the gradient of the first layer's input, and the
    weights' gradients. Arguments as of `attack_step`.
    """
    works = attack_step(network, shape, images, 1, alive)
    whole = works[-1].flops - step(network, shape, images)
    unwanted = sum(
        work.flops
        for work in works[:-1]
        if work.layer == 1 and work.direction == "backward" and work.kind != ALL
    )
    wide = shape.layout == "wide"
    counts = batch_weight_work if wide else tile_weight_work
    count = -(-images // shape.block) if wide else images
    own = sum(counts.convolution(conv, shape) for conv in network.convolutions)
    own += sum(counts.dense(layer, shape) for layer in network.dense)
    if network.convolutions and uses_winograd(first := network.convolutions[0]):
        # The weights' gradient, too, begins in the transformed domain.
        layers = batch_work if wide else tile_work
        own += layers.adjoint_from_outputs(first, shape.lanes)
    if wide:
        own += sum(
            batch_work.transforms(conv, direction, whole=False)
            - batch_work.transforms(conv, direction, batch_work.whole_tiles(conv, shape))
            for number, conv in enumerate(network.convolutions) if uses_winograd(conv)
            for direction in ("forward", "backward")[: 2 if number else 1]
        ) * shape.lanes  # an update goes through rows of tiles  # fmt: skip
    if not wide and network.std:  # the gradient by the image itself
        own -= network.pixels
    return float(whole - unwanted + count * own)


def step(network: Network, shape: Shape, images: int) -> float:
    """Operations of an attack's step itself."""
    if shape.layout == "wide":
        return float(-(-images // shape.block) * (STEP + MARK) * network.pixels * shape.lanes)
    return float(images * (STEP + MARK) * vectors(network.pixels, shape.lanes) * shape.lanes)


def forward(network: Network, shape: Shape, images: int, alive: Sequence[Alive]) -> float:
    """Operations of the layers, forward."""
    works = attack_step(network, shape, images, 1, alive)
    return sum(
        work.flops for work in works
        if work.layer > 0 and work.direction == "forward" and work.kind != ALL
    )  # fmt: skip
