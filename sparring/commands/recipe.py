"""The recipe that the command line asks for."""

from __future__ import annotations

import math
from typing import Any

import click

from sparring.data import Dataset
from sparring.recipes import RECIPES, Recipe


def given(context: click.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def build_recipe(context: click.Context, chosen: dict[str, Any], dataset: Dataset) -> Recipe:
    """The recipe of ``--recipe``, with the options that were given beside it.

    Raises:
        click.UsageError: if an option is given that the recipe decides itself.
    """
    name = chosen["recipe"]

    def told(*names: str) -> dict[str, Any]:
        return {n: chosen[n] for n in names if given(context, n)}

    optimizer = chosen["optimizer"]
    decided: tuple[str, ...] = ("attack", *(() if name == "pgd" else ("steps",)))
    if optimizer != "sgd":
        decided += ("momentum",)
    if name == "clean":
        decided += ("epsilon", "step_size")
    for option in told(*decided):
        raise click.UsageError(f"--{option.replace('_', '-')} has no meaning with --recipe {name}")
    size = told("batch_size").get("batch_size") or RECIPES[name](1).batch_size
    updates = chosen["updates"] or chosen["epochs"] * math.ceil(len(dataset.train) / size)
    settings: dict[str, Any] = told("epsilon", "step_size", "steps")
    if name != "clean":
        settings |= {"bounds": dataset.bounds, "backend": chosen["backend"]}
    recipe = RECIPES[name](updates, **settings)
    rate = told("learning_rate").get("learning_rate", recipe.rate)
    if optimizer is not None and optimizer != recipe.optimizer:
        if not given(context, "learning_rate"):
            raise click.UsageError(
                f"--optimizer {optimizer} with --recipe {name} needs --learning-rate: the recipe's "
                f"is {recipe.optimizer}'s"
            )
        momentum = chosen["momentum"] if optimizer == "sgd" else 0.0
        recipe = recipe.with_changes(optimizer=optimizer, momentum=momentum)
    return recipe.with_changes(batch_size=size, rate=rate)
