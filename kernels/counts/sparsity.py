"""What of dense layers matters for given images: the kernels leave the rest out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.counts.tile.regions import Regions, vectors_of_places
from kernels.counts.work import Shape
from sparring.fused.network import Network

#: Lanes with which the images of a block walk together, as ``cpp/tile_dense.hpp`` has it.
_LANES_OF_GROUPS = 16
#: So few images of a group walk back each by itself.
_APART = 3


@dataclass(frozen=True)
class Group:
    """A block's images, which walk together over the inputs that any of them needs.

    Attributes:
        images: how many.
        rows: inputs that are not 0 in any of them.
        vectors: of places of inputs (``cpp/tile_chain.hpp``) in which one of those inputs stands.
        apart: of all images together, the inputs that each walks back over by itself, whole
            vectors; 0 where they walk back together as well.
    """

    images: int
    rows: float
    vectors: float
    apart: float = 0.0

    def merged(self, others: Sequence[Group]) -> Group:
        """The mean of this and others of as many images."""
        several = [self, *others]
        rows, vectors, apart = (
            sum(getattr(one, name) for one in several) / len(several)
            for name in ("rows", "vectors", "apart")
        )
        return Group(self.images, rows, vectors, apart)


@dataclass(frozen=True)
class Alive:
    """What of a dense layer matters.

    Attributes:
        outputs: with a gradient in any of the images that go through the layer together, mean over
            those groups. In the wide layout the others are left out backward.
        listed: inputs that tiles walk over, mean over images: those that are not 0, and what fills
            up their list to whole vectors.
        rows: inputs that are not 0 in any image of a block, mean over blocks.
        groups: blocks of tiles whose images walk together.
    """

    outputs: float
    listed: float
    rows: float
    groups: tuple[Group, ...] = ()


def mean(several: Sequence[Sequence[Alive]]) -> list[Alive]:
    """Of each layer, the mean over several findings."""
    return [
        Alive(
            sum(one.outputs for one in layer) / len(layer),
            sum(one.listed for one in layer) / len(layer),
            sum(one.rows for one in layer) / len(layer),
            tuple(
                first.merged(rest)
                for first, *rest in zip(*(one.groups for one in layer), strict=True)
            ),
        )
        for layer in zip(*several, strict=True)
    ]


def alive(
    model: nn.Module, network: Network, weights: Sequence[Tensor | None], images: Tensor,
    labels: Tensor, shape: Shape,
) -> list[Alive]:  # fmt: skip
    """What matters of each dense layer.

    The gradient is that of the study's objective, which never vanishes in the logits, so that a
    zero is a ReLU's. Computed by PyTorch in float64.

    Args:
        model: the network.
        network: its layers.
        weights: its parameters, first layer first (`sparring.fused.engine.Engine.parameters`).
        images: float32 ``(n, c, h, w)``.
        labels: int64 ``(n,)``.
        shape: the layout.
    """
    exact = copy.deepcopy(model).double().eval()
    twins = dict(zip(map(id, model.parameters()), exact.parameters(), strict=True))
    order = [id(twins[id(weight)]) for weight in weights if weight is not None]
    denses = sorted(
        (module for module in exact.modules() if isinstance(module, nn.Linear)),
        key=lambda module: order.index(id(module.weight)),
    )
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}

    def keep(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        inputs[id(module)], outputs[id(module)] = given[0].detach(), output

    handles = [dense.register_forward_hook(keep) for dense in denses]
    with torch.enable_grad():
        logits = exact(images.double().requires_grad_())
        goal = logits.sum() - 2 * logits.gather(1, labels[:, None]).sum()
        gradients = torch.autograd.grad(goal, [outputs[id(dense)] for dense in denses])
    for handle in handles:
        handle.remove()
    found = []
    for number, (dense, gradient) in enumerate(zip(denses, gradients, strict=True)):
        regions = Regions.of(network, number, shape.lanes, shape.registers)
        wanted = inputs[id(dense)] != 0
        if not regions.gated:
            wanted = torch.ones_like(wanted)
        groups = _groups(wanted, vectors_of_places(network, number, shape.lanes), shape)
        found.append(
            Alive(
                _mean_alive(gradient != 0, shape.together),
                _mean_listed(wanted, regions.size, shape),
                _mean_alive(wanted, shape.together),
                groups,
            )
        )
    return found


def _mean_alive(wanted: Tensor, block: int) -> float:
    """Columns that are wanted in any row of a block, mean over blocks of rows."""
    blocks = torch.split(wanted, block)
    return sum(int(part.any(dim=0).sum()) for part in blocks) / len(blocks)


def _groups(wanted: Tensor, vectors: Tensor, shape: Shape) -> tuple[Group, ...]:
    """The blocks that walk together, in order."""
    if shape.layout != "tile" or shape.lanes != _LANES_OF_GROUPS:
        return ()
    found = []
    for part in torch.split(wanted, shape.block):
        if len(part) > 1:
            union = part.any(dim=0)
            own = -(-part.sum(dim=1) // shape.lanes) * shape.lanes
            apart = int(own.sum()) if len(part) <= _APART else 0
            found.append(
                Group(len(part), int(union.sum()), len(torch.unique(vectors[union])), apart)
            )
    return tuple(found)


def _mean_listed(wanted: Tensor, region: int, shape: Shape) -> float:
    """Columns of a row that are wanted, whole vectors of each region; mean over rows.

    An image that is alone in its block has one list for all regions, and so has a group.
    """
    listed = 0
    for part in torch.split(wanted, shape.block):
        if len(part) > 1 and shape.lanes == _LANES_OF_GROUPS:
            union = int(part.any(dim=0).sum())
            listed += len(part) * -(-union // shape.lanes) * shape.lanes
            continue
        size = region if len(part) > 1 else wanted.shape[1]
        counts = torch.stack([piece.sum(dim=1) for piece in torch.split(part, size, dim=1)])
        listed += int((-(-counts // shape.lanes) * shape.lanes).sum())
    return listed / len(wanted)
