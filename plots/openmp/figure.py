"""The figures of the OpenMP study, as far as it was measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from plots.openmp import chain_figure, random_figure, use_figure
from plots.openmp.attack import Study
from plots.openmp.table import OpenMP
from plots.shared.files import Draw


def drawings(found: OpenMP, study: Study | None) -> dict[str, Draw]:
    """What can be drawn, by the end of the file's name."""
    drawn: dict[str, Draw] = {}
    if found.chains:
        drawn["_chains"] = partial(chain_figure.draw, found)
    if random_figure.kinds(found):
        drawn["_random"] = partial(random_figure.draw, found)
    if found.of("gradient"):
        drawn["_gradient"] = partial(use_figure.draw_gradients, found)
    if found.of("attack"):
        drawn["_attack"] = partial(use_figure.draw_attacks, found, study)
    return drawn


def captions(found: OpenMP, study: Study | None) -> dict[str, str]:
    """Of those drawings."""
    told: dict[str, Callable[[], str]] = {
        "_chains": partial(chain_figure.caption, found),
        "_random": partial(random_figure.caption, found),
        "_gradient": partial(use_figure.caption_of_gradients, found),
        "_attack": partial(use_figure.caption_of_attacks, found, study),
    }
    return {suffix: told[suffix]() for suffix in drawings(found, study)}
