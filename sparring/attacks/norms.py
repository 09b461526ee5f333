"""The balls that adversaries stay in: how to start in one, step in one, and come back to one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from sparring.attacks.sources import RandomSource


class Norm(Protocol):
    """The geometry of one norm; every image of a batch ``(n, ...)`` is its own vector."""

    def start(self, x: Tensor, epsilon: float, source: RandomSource) -> Tensor:
        """A point drawn uniformly from the ball of radius epsilon about each image."""

    def direction(self, gradient: Tensor) -> Tensor:
        """The unit step of steepest ascent; zero for an image whose gradient is zero."""

    def project(self, x_adv: Tensor, x: Tensor, epsilon: float) -> Tensor:
        """The nearest point of the ball of radius epsilon about each image of ``x``."""


class Linf:
    """The largest absolute pixel difference."""

    def start(self, x: Tensor, epsilon: float, source: RandomSource) -> Tensor:
        """See ``Norm``."""
        return x + source.uniform(tuple(x.shape), -epsilon, epsilon, x.dtype, x.device)

    def direction(self, gradient: Tensor) -> Tensor:
        """See ``Norm``."""
        return gradient.sign()

    def project(self, x_adv: Tensor, x: Tensor, epsilon: float) -> Tensor:
        """See ``Norm``."""
        return torch.clamp(x_adv, x - epsilon, x + epsilon)


class L2:
    """The Euclidean length of the pixel differences."""

    def start(self, x: Tensor, epsilon: float, source: RandomSource) -> Tensor:
        """See ``Norm``.

        A normal vector points in a uniform direction; a radius of u^(1/d), u uniform, fills the
        ball of d dimensions evenly (Muller, "A note on a method for generating points uniformly
        on n-dimensional spheres", CACM 2(4), 1959; the volume within radius r grows as r^d).
        """
        normal = source.normal(tuple(x.shape), x.dtype, x.device)
        u = source.uniform((x.shape[0],), 0.0, 1.0, x.dtype, x.device)
        pixels = x[0].numel()
        return x + epsilon * _column(u ** (1 / pixels), x) * unit(normal, 2)

    def direction(self, gradient: Tensor) -> Tensor:
        """See ``Norm``."""
        return unit(gradient, 2)

    def project(self, x_adv: Tensor, x: Tensor, epsilon: float) -> Tensor:
        """See ``Norm``."""
        delta = x_adv - x
        length = torch.linalg.vector_norm(delta.flatten(1), dim=1)
        shrink = torch.where(length > epsilon, epsilon / length, 1.0)
        return x + _column(shrink, x) * delta


def usable(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """A gradient ``(n, ...)`` of finite numbers, and which images' was none, bool ``(n,)``.

    Not-a-numbers become 0, so that these pixels stay where they are. An infinite entry, of the
    square root at 0, say, tells which way is up but not how far: it becomes the largest finite
    entry of its image, or 1 if that is 0.
    """
    finite = gradient.isfinite()
    if bool(finite.all()):
        return gradient, gradient.new_zeros(len(gradient), dtype=torch.bool)
    kept = torch.where(finite, gradient, 0.0)
    largest = kept.abs().flatten(1).amax(dim=1)
    largest = _column(torch.where(largest > 0, largest, 1.0), gradient)
    kept = torch.where(gradient.isinf(), gradient.sign() * largest, kept)
    return kept, ~finite.flatten(1).all(dim=1)


def unit(v: Tensor, order: int) -> Tensor:
    """Each image of ``v`` divided by its norm of that order; a zero image stays zero.

    The largest entry is divided out first: the squares of a float32 gradient of 1e-25, which a
    confident model gives, would all be zero.
    """
    largest = v.abs().flatten(1).amax(dim=1)
    v = v / _column(torch.where(largest > 0, largest, 1.0), v)
    length = torch.linalg.vector_norm(v.flatten(1), ord=order, dim=1)
    return v / _column(torch.where(length > 0, length, 1.0), v)


def _column(per_image: Tensor, like: Tensor) -> Tensor:
    """``(n,)`` shaped to multiply ``like`` ``(n, ...)``."""
    return per_image.reshape(-1, *[1] * (like.dim() - 1))


#: The norms by the names that attacks take.
NORMS: Mapping[str, Norm] = MappingProxyType({"linf": Linf(), "l2": L2()})
