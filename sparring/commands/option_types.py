"""Kinds of options that several commands take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import click

from sparring.errors import did_you_mean

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


class Name(click.Choice[str]):
    """`click.Choice` that answers a mistyped name with the nearest one."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """See `click.Choice`."""
        told = super().get_invalid_choice_message(value, ctx).removesuffix(".")
        return told + (did_you_mean(value, map(str, self.choices)) or ".")


class Renamed(click.Option):
    """An option that also goes by the spellings it had before, which no help shows.

    Args:
        param_decls: as `click.Option` has them.
        former: the spellings of old.
        settings: of `click.Option`.
    """

    def __init__(
        self, param_decls: Sequence[str], former: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__(param_decls, **settings)
        self.former = list(former)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """See `click.Option`."""
        shown = self.opts
        self.opts = [*shown, *self.former]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown
