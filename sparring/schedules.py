"""How learning rate and epsilon change during training, by the number of the update alone.

A schedule asks for no clock, rank or history: every strategy and every run that is resumed sees the
same value at the same update.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparring.errors import SparringError


@dataclass(frozen=True)
class Schedule:
    """A factor that is piecewise linear in the update's number, and constant beyond the ends.

    Attributes:
        knots: pairs (update from 0, factor of 0 or more), ascending in the update.

    Raises:
        SparringError: if the knots are none or not as described.
    """

    knots: tuple[tuple[float, float], ...] = ((0, 1.0),)

    def __post_init__(self) -> None:
        places = [place for place, _ in self.knots]
        if not places or places != sorted(set(places)) or places[0] < 0:
            raise SparringError(f"knots must be at ascending updates from 0, not {places}")
        if not all(0 <= factor < float("inf") for _, factor in self.knots):
            raise SparringError(f"a schedule's factors must be finite and at least 0: {self.knots}")

    def __call__(self, update: int) -> float:
        """The factor at an update, counted from 0."""
        places, factors = zip(*self.knots, strict=True)
        return float(np.interp(update, places, factors))


def constant() -> Schedule:
    """Always 1."""
    return Schedule()


def warm_up(updates: int) -> Schedule:
    """Linear to 1 over the first ``updates`` updates, of which the first has 1 / updates.

    Source: Goyal and others, "Accurate, Large Minibatch SGD", 2017, section 2.2 (gradual warm-up,
    of a learning rate).
    """
    return linear_decay(0, warm=updates) if updates > 1 else constant()


def linear_decay(updates: int, *, warm: int = 0, flat: float = 0.5) -> Schedule:
    """A warm-up over ``warm`` updates, then 1, then linear towards 0 at ``updates``.

    Args:
        updates: of the whole run; 0 means that it never decays.
        warm: updates of the warm-up.
        flat: fraction of the run after which the decay begins.

    Raises:
        SparringError: if the warm-up goes on when the decay begins.
    """
    knots = [(0.0, 1.0 / warm), (warm - 1.0, 1.0)] if warm > 1 else [(0.0, 1.0)]
    if updates:
        begin = max(flat * updates, 1.0)
        if begin <= knots[-1][0]:
            raise SparringError(
                f"a warm-up of {warm} updates is too long: the decay begins at update {begin:g}"
            )
        knots += [(begin, 1.0), (max(float(updates), begin + 1), 0.0)]
    return Schedule(tuple(knots))


def triangle(updates: int, *, peak: float = 0.4) -> Schedule:
    """From 0 to 1 at the fraction ``peak`` of the run, and back to 0 at its end.

    The value of an update is that of its end, so that the first one is not lost.

    Source: Smith and Topin, "Super-Convergence", 2019; with this peak, L. Rice's and E. Wong's
    ``train_mnist.py`` to "Fast is better than free", ICLR 2020.
    """
    top = max(1.0, peak * updates)
    first = 1.0 / top if top > 1 else 1.0
    knots = [(0.0, first)] if top > 1 else []
    return Schedule((*knots, (top - 1.0, 1.0), (max(top, float(updates)), 0.0)))
