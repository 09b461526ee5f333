"""Every plot there is: the packages here that declare one."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from functools import cache
from importlib import import_module

import plots
from plots.shared.plot import Plot


def declared() -> tuple[Plot, ...]:
    """All plots, by name."""
    return _declared(tuple(plots.__path__))


@cache
def _declared(places: tuple[str, ...]) -> tuple[Plot, ...]:
    packages = (module.name for module in pkgutil.iter_modules(places) if module.ispkg)
    modules = (import_module(f"plots.{name}") for name in packages)
    found = [module.PLOT for module in modules if hasattr(module, "PLOT")]
    return tuple(sorted(found, key=lambda plot: plot.name))


def plot_for(header: Collection[str], details: bool) -> Plot | None:
    """The plot that a table is for, or None: of those that fit, the one that asks for most.

    Args:
        header: the table's columns.
        details: whether a table of details stands beside it.
    """
    fitting = [plot for plot in declared() if plot.fits(header, details) and not plot.beside]
    return max(fitting, key=lambda plot: len({*plot.columns}), default=None)


def plots_for(header: Collection[str], details: bool) -> tuple[Plot, ...]:
    """A table's own plot (`plot_for`), and then those that draw the same tables beside it."""
    own = plot_for(header, details)
    if own is None:
        return ()
    beside = (plot for plot in declared() if plot.beside == own.name)
    return (own, *(plot for plot in beside if plot.fits(header, details)))
