"""Kinds of numbers that several commands' options take."""

from __future__ import annotations

import math
from typing import Any

import click

SEED = click.IntRange(0, 2**64 - 1)  # `sparring.randomness.MOST_SEED`, which needs NumPy


class FiniteRange(click.FloatRange):
    """`click.FloatRange` without the numbers that no comparison refuses: NaN and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
