"""The Square attack: random squares, no gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb
from sparring.attacks.objectives import margin
from sparring.attacks.sources import RandomSource
from sparring.attacks.validation import (
    check_backend,
    check_bounds,
    check_count,
    check_number,
    check_pixels,
    settle,
)


@dataclass(frozen=True)
class Square(Attack):
    """Random search: keep a random square of +- epsilon wherever it raises the margin.

    It sees logits only. What it finds and gradients do not is a sign that gradients mislead.

    Source: Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a query-efficient black-box
    adversarial attack via random search", ECCV 2020, algorithm 1 with the L-infinity sampling of
    algorithm 2: vertical stripes at first, and squares whose area is halved when their published
    code (max-andr/square-attack) does it.

    Attributes:
        epsilon: L-infinity radius, in the units of x; 0 or more.
        queries: squares tried, 1 or more.
        area: fraction of the pixels in the first square, above 0 to 1.
        bounds: the valid pixel range (low, high), in the units of x.
        backend: see `Attack`.

    Raises:
        ValueError: if a field is out of its range, and when called with images that are not
            ``(n, channels, height, width)`` within the bounds.
    """

    epsilon: float = 0.3
    queries: int = 1000
    area: float = 0.8
    bounds: tuple[float, float] = (0.0, 1.0)
    backend: str = "auto"

    def __post_init__(self) -> None:
        settle(
            self,
            epsilon=check_number("epsilon", self.epsilon),
            queries=check_count("queries", self.queries),
            area=check_number("area", self.area, positive=True),
            bounds=check_bounds(self.bounds),
        )
        if self.area > 1:
            raise ValueError(f"area must be at most 1, not {self.area!r}")
        check_backend(self.backend)

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        check_pixels(x, self.bounds)
        if x.dim() != 4:
            raise ValueError(f"x must be (n, channels, height, width), not {tuple(x.shape)}")
        n, channels, height, width = x.shape
        best = self._within(x, self.epsilon * _signs(source, (n, channels, 1, width), x))
        heights = margin(climb.logits(best), climb.y)
        for query in range(self.queries):
            todo = ~(heights >= 0)  # those that fool the network already are left as they are
            if not bool(todo.any()):
                break
            side = self._side(query, height, width)
            u = source.uniform((n, 2), 0.0, 1.0, x.dtype, x.device)
            top = (u[:, 0] * (height - side + 1)).long()
            left = (u[:, 1] * (width - side + 1)).long()
            signs = _signs(source, (n, channels, 1, 1), x)
            rows = torch.arange(height, device=x.device)
            columns = torch.arange(width, device=x.device)
            inside = ((rows >= top[:, None]) & (rows < top[:, None] + side))[:, None, :, None] & (
                (columns >= left[:, None]) & (columns < left[:, None] + side)
            )[:, None, None, :]
            tried = torch.where(inside, self._within(x, self.epsilon * signs), best)
            tried_heights = heights.clone()
            tried_heights[todo] = _margins(climb, tried, todo)
            better = (tried_heights > heights) | (heights.isnan() & ~tried_heights.isnan())
            best = torch.where(better[:, None, None, None], tried, best)
            heights = torch.where(better, tried_heights, heights)
        return best

    def _within(self, x: Tensor, delta: Tensor) -> Tensor:
        return (x + delta).clamp(*self.bounds)

    def _side(self, query: int, height: int, width: int) -> int:
        """The square's side: its area halves at fixed queries, given for 10,000 of them."""
        progress = query / self.queries * 10_000
        halvings = sum(progress > at for at in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
        side = round(math.sqrt(self.area / 2**halvings * height * width))
        return max(1, min(side, height, width))


def _signs(source: RandomSource, shape: tuple[int, ...], x: Tensor) -> Tensor:
    return torch.where(source.uniform(shape, -1.0, 1.0, x.dtype, x.device) < 0, -1.0, 1.0).to(x)


def _margins(climb: Climb, x: Tensor, which: Tensor) -> Tensor:
    return margin(climb.logits(x[which], which), climb.y[which])
