"""When a kernel's gradients agree with float64's: one definition, for its own check and for tests.

Where float32 sees the other side of a ReLU's kink, or of a maximum, than float64, a gradient is off
by more than rounding, and rightly so: such images are replaced by others, and counted. A kernel
that is wrong at a place of the batch is so with every image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What every error is to lie below; rounding makes one or two hundred-thousandths.
BOUND = 1e-3
#: How often images may be replaced before a kernel is taken for wrong.
TRIES = 12

#: The kernel's gradients of the summed cross-entropy, of images and labels.
OfImages = Callable[[Tensor, Tensor], Tensor]
OfWeights = Callable[[Tensor, Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Agreement:
    """How far a kernel's gradients lie from float64's, on the last images that were tried.

    Attributes:
        x: those images, float32 ``(n, ...)``.
        wanted: their gradients in float64.
        by_images: each image's largest difference, over its gradient's largest entry; ``(n,)``.
        by_weights: the same of the worst parameter; 0 where none was asked for.
        replaced: images that stood on a kink.
    """

    x: Tensor
    wanted: Tensor
    by_images: Tensor
    by_weights: float
    replaced: int

    @property
    def worst(self) -> float:
        """The largest of all errors; what is not a number counts as infinite."""
        return max(largest(self.by_images), self.by_weights)


def compare(
    exact: nn.Module,
    draw: Callable[[int], Tensor],
    labels: Tensor,
    of_images: OfImages,
    parameters: Sequence[Tensor] = (),
    of_weights: OfWeights | None = None,
) -> Agreement:
    """Compare a kernel's gradients of the summed cross-entropy with float64 autograd's.

    Args:
        exact: the model, float64, in eval mode.
        draw: makes so many float32 images.
        labels: int64 ``(n,)``.
        of_images: the kernel's gradients by the images.
        parameters: those of ``exact`` whose gradients are compared, too.
        of_weights: the kernel's gradients by the weights, in the order of ``parameters``.
    """
    count = len(labels)
    x = draw(count)
    wanted, off = torch.empty_like(x, dtype=torch.float64), torch.ones(count, dtype=torch.bool)
    replaced = 0
    for number in range(TRIES):
        by_weights = 0.0
        if of_weights is None:
            wanted[off] = gradients(exact, x[off].double(), labels[off])[0]
        else:
            wanted, *right = gradients(exact, x.double(), labels, parameters)
            found = of_weights(x, labels)
            by_weights = largest(
                torch.stack([_error(a, b) for a, b in zip(found, right, strict=True)])
            )
        by_images = of_rows(of_images(x, labels), wanted)
        off = ~(by_images < BOUND)
        if not off.any() and not by_weights < BOUND:
            off[:] = True  # which of them it is the sums do not tell
        if not off.any() or number == TRIES - 1:
            break
        replaced += int(off.sum())
        x[off] = draw(int(off.sum()))
    return Agreement(x, wanted, by_images, by_weights, replaced)


def gradients(
    model: nn.Module, x: Tensor, labels: Tensor, parameters: Sequence[Tensor] = ()
) -> tuple[Tensor, ...]:
    """Autograd's, of the summed cross-entropy, by the images and by parameters."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = functional.cross_entropy(model(x), labels, reduction="sum")
    return torch.autograd.grad(loss, [x, *parameters])


def of_rows(found: Tensor, wanted: Tensor) -> Tensor:
    """Each image's error."""
    difference = (found - wanted).abs().flatten(1).amax(1)
    return difference / wanted.abs().flatten(1).amax(1).clamp_min(1e-30)


def largest(errors: Tensor) -> float:
    """Not a number counts as infinite: Python's own max can lose it."""
    return float(errors.nan_to_num(float("inf")).max())


def _error(found: Tensor, wanted: Tensor) -> Tensor:
    return (found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)
