"""How far an engine's gradients lie from float64 autograd's, at any batch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparring.fused.engine import OBJECTIVE_NUMBERS, Engine

#: Batches that fill no block, one with a rest, and several.
BATCHES = (1, 3, 17, 64)
#: How often images may be replaced before a kernel is taken for wrong.
TRIES = 12
#: What every error is to lie below; rounding makes one or two hundred-thousandths.
BOUND = 1e-3


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
    Where float32 sees the other side of a ReLU's kink or of a maximum than float64, a gradient is
    off by more than rounding, and rightly so: such images are replaced by others, and counted. A
    kernel that is wrong at a place of the batch is so with every image.

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
    mine, theirs, weights, replaced = [], [], 0.0, 0
    for count in batches:
        x = torch.rand(count, *shape, generator=generator)
        y = torch.randint(classes, (count,), generator=generator)
        wanted, off = torch.empty_like(x, dtype=torch.float64), torch.ones(count, dtype=torch.bool)
        for number in range(TRIES):
            by_weights = 0.0
            if engine.only_attacks:
                wanted[off] = _by_images(exact, x[off].double(), y[off])
            else:
                wanted, wanted_weights = _by_all(exact, x.double(), y)
                by_weights = _of_weights(engine, model, x, y, wanted_weights)
            found = engine.input_gradient(x, y, OBJECTIVE_NUMBERS["cross_entropy"])
            by_images = _of_rows(found, wanted)
            off = ~(by_images < BOUND)
            if not off.any() and not by_weights < BOUND:
                off[:] = True  # which of them it is the sums do not tell
            if not off.any():
                break
            if number == TRIES - 1:
                break
            replaced += int(off.sum())
            x[off] = torch.rand(int(off.sum()), *shape, generator=generator)
        mine.append(by_images)
        theirs.append(_of_rows(_by_images(model, x, y), wanted))
        weights = max(weights, by_weights)
    return Errors(
        median=_median(mine),
        torch_median=_median(theirs),
        worst=_largest(torch.cat(mine)),
        weights=None if engine.only_attacks else weights,
        replaced=replaced,
        images=sum(batches),
    )


def _by_images(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    loss = functional.cross_entropy(model(x), y, reduction="sum")
    return torch.autograd.grad(loss, x)[0]


def _by_all(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
    x = x.detach().clone().requires_grad_()
    loss = functional.cross_entropy(model(x), y, reduction="sum")
    gradient, *weights = torch.autograd.grad(loss, [x, *model.parameters()])
    return gradient, weights


def _of_rows(found: Tensor, wanted: Tensor) -> Tensor:
    """Each image's error."""
    difference = (found - wanted).abs().flatten(1).amax(1)
    return difference / wanted.abs().flatten(1).amax(1).clamp_min(1e-30)


def _of_weights(
    engine: Engine, model: nn.Module, x: Tensor, y: Tensor, wanted: Sequence[Tensor]
) -> float:
    """The worst parameter's error."""
    out = engine.space.zeros()
    engine.gradients(x, y, 1.0, out)
    found = dict(zip(map(id, engine.parameters), engine.space.tensors(out), strict=True))
    errors = []
    for parameter, right in zip(model.parameters(), wanted, strict=True):
        gradient = found[id(parameter)]
        assert gradient is not None
        errors.append((gradient - right).abs().max() / right.abs().max().clamp_min(1e-30))
    return _largest(torch.stack(errors))


def _median(errors: Sequence[Tensor]) -> float:
    return float(torch.cat([*errors]).nan_to_num(float("inf")).median())


def _largest(errors: Tensor) -> float:
    """Not a number counts as infinite."""
    return float(errors.nan_to_num(float("inf")).max())
