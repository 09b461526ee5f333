"""How far an engine's gradients lie from float64 autograd's, at any batch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.fused import agreement
from sparring.fused.agreement import BOUND
from sparring.fused.engine import OBJECTIVE_NUMBERS, Engine

__all__ = ["BATCHES", "BOUND", "Errors", "measure"]

#: Batches that fill no block, one with a rest, and several.
BATCHES = (1, 3, 17, 64)


@dataclass(frozen=True)
class Errors:
    """Largest differences from float64, each over the largest entry of the gradient in question.

    Attributes:
        median: of the images' gradients, each by its own size: the median image's.
        torch_median: the same with PyTorch in float32.
        worst: the worst image's.
        weights: of the weights' gradients, parameter by parameter; None where the engine computes
            none.
        replaced: images that stood on a kink.
        images: how many there were.
    """

    median: float
    torch_median: float
    worst: float
    weights: float | None
    replaced: int
    images: int

    @property
    def acceptable(self) -> bool:
        """Whether the worst of them lies below `BOUND`."""
        return max(self.worst, self.weights or 0.0) < BOUND


def measure(engine: Engine, model: nn.Module, batches: Sequence[int] = BATCHES) -> Errors:
    """Compare gradients of the cross-entropy by images and weights, on uniform noise in [0, 1].

    Statistics of batch normalisations are first taken from such images, so that they do something.
    Images on a kink are replaced (`sparring.fused.agreement`).

    Args:
        engine: that was made of ``model``.
        model: float32, on the CPU; it is left in eval mode, with other statistics.
        batches: numbers of images.
    """
    generator = torch.Generator().manual_seed(0)
    shape, classes = engine.network.shape, engine.network.classes
    model.train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for _ in range(3):
            model(torch.rand(64, *shape, generator=generator))
    model.eval()
    engine.refresh()
    exact = copy.deepcopy(model).double()

    def of_images(x: Tensor, y: Tensor) -> Tensor:
        return engine.input_gradient(x, y, OBJECTIVE_NUMBERS["cross_entropy"])

    def of_weights(x: Tensor, y: Tensor) -> list[Tensor]:
        out = engine.space.zeros()
        engine.gradients(x, y, 1.0, out)
        found = dict(zip(map(id, engine.parameters), engine.space.tensors(out), strict=True))
        gradients = [found[id(parameter)] for parameter in model.parameters()]
        return [gradient for gradient in gradients if gradient is not None]

    weights = () if engine.only_attacks else ([*exact.parameters()], of_weights)
    mine, theirs, by_weights, replaced = [], [], 0.0, 0
    for count in batches:
        y = torch.randint(classes, (count,), generator=generator)
        found = agreement.compare(
            exact, lambda n: torch.rand(n, *shape, generator=generator), y, of_images, *weights
        )
        mine.append(found.by_images)
        (gradient,) = agreement.gradients(model, found.x, y)
        theirs.append(agreement.of_rows(gradient, found.wanted))
        by_weights = max(by_weights, found.by_weights)
        replaced += found.replaced
    return Errors(
        median=_median(mine),
        torch_median=_median(theirs),
        worst=agreement.largest(torch.cat(mine)),
        weights=None if engine.only_attacks else by_weights,
        replaced=replaced,
        images=sum(batches),
    )


def _median(errors: Sequence[Tensor]) -> float:
    return float(torch.cat([*errors]).nan_to_num(float("inf")).median())
