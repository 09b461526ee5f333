"""Every plot there is: the packages here that declare one."""

from __future__ import annotations

import pkgutil
import shlex
from collections.abc import Collection
from functools import cache
from importlib import import_module
from pathlib import Path

import plots
from harness.errors import InputError
from harness.tables.table import details_path, read_cells
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


def names_for(path: Path) -> tuple[str, ...]:
    """The plots that draw the table in a file, its own first; none where it cannot be read."""
    newest = max(plot.schema_version for plot in declared())
    try:
        header, _ = read_cells(path, (), newest)
    except InputError:
        return ()
    details = details_path(path.parent, path.stem).is_file()
    return tuple(plot.name for plot in plots_for(header, details))


def drawn_by(path: Path) -> str:
    """The commands that draw a table, or a folder of them, as a part of a sentence; else empty."""
    place = shlex.quote(str(path))
    if path.is_dir():
        return f"`python -m plots report {place}` makes a page of its tables"
    if names := names_for(path):
        also = f" (and `{'`, `'.join(names[1:])}` more of it)" if names[1:] else ""
        return f"`python -m plots {names[0]} {place}` draws it{also}"
    main = path.with_name(f"{path.stem.partition('.')[0]}.csv")
    if main != path and path.is_file() and names_for(main):
        return f"it belongs to {main}: {drawn_by(main)}"
    return ""
