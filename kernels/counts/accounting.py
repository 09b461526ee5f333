"""All stages of one attack step on a batch, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence

from kernels.counts.sparsity import Alive
from kernels.counts.tile import attack as tile_work
from kernels.counts.wide import attack as batch_work
from kernels.counts.work import ALL, ATTACK_STEP, FLOAT, STEP, Shape, Work, nominal, objective
from sparring.errors import SparringError
from sparring.fused.network import Convolution, Dense, Network


def attack_step(
    network: Network, shape: Shape, images: int, steps: int, alive: Sequence[Alive]
) -> list[Work]:
    """Every stage, then each layer in each direction, then the whole step.

    Args:
        network: its layers.
        shape: the layout.
        images: in the batch.
        steps: of one call, over which the loading of images is spread.
        alive: what matters of each dense layer; the kernels leave out the rest.

    Raises:
        SparringError: if the network has layers whose operations nobody has counted.
    """
    _check_counted(network)
    counts = batch_work if shape.layout == "wide" else tile_work
    # What is counted at a time: a block, or an image.
    together = shape.block if shape.layout == "wide" else 1
    blocks = -(-images // together)
    each = images / blocks  # images that there are in a block
    layers: list[Convolution | Dense] = [*network.convolutions, *network.dense]
    found = [
        counts.convolution(network, conv, number, shape)
        for number, conv in enumerate(network.convolutions, 1)
    ] + [
        counts.dense(network, dense, number, shape, own, images)
        for number, (dense, own) in enumerate(
            zip(network.dense, alive, strict=True), len(network.convolutions) + 1
        )
    ]
    outside = counts.outside(network, shape, steps)
    direct = objective(network.classes) + STEP * network.pixels
    direct += 3 * network.pixels if network.std else 0
    stages, totals = [outside], [_total([outside], outside.bytes, direct * each)]
    for layer, directions in zip(layers, found, strict=True):
        for parts, size in directions:
            stages += parts
            totals.append(_total(parts, size, nominal(layer) * each))
    # The step takes and gives the image, and takes the centre and all weights.
    weights = counts.weight_bytes(network, shape, alive, images)
    size = 3 * network.pixels * FLOAT * together + weights
    step = Work(
        ATTACK_STEP, ALL, ALL, sum(total.flops for total in totals), size, size,
        sum(total.flops_nominal or 0 for total in totals),
    )  # fmt: skip
    return [work.times(blocks) for work in (*stages, *totals, step)]


def _check_counted(network: Network) -> None:
    """Counts are of chains of convolutions of stride 1 and dense layers, with ReLU."""
    for layer in network.front:
        if not isinstance(layer, Convolution) or layer.stride > 1:
            kind = "Convolution with strides" if isinstance(layer, Convolution) else None
            raise SparringError(
                f"operations of a {kind or type(layer).__name__} are not counted: chains of "
                "convolutions of stride 1 and linear layers are, with ReLU"
            )
    if any(dense.curve for dense in network.dense):
        raise SparringError("operations of activations other than ReLU are not counted")


def _total(parts: Sequence[Work], size: float, direct: float) -> Work:
    """All parts of a layer in one direction: the bytes are those compulsory for the whole."""
    flops, kept = sum(part.flops for part in parts), max(part.working_set for part in parts)
    return Work(parts[0].layer, parts[0].direction, ALL, flops, size, kept, direct)
