"""Where commands print their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(columns: int) -> Console:
    """As wide as the terminal; in a file or a pipe, of so many columns."""
    from rich.console import Console

    return Console(width=None if Console().is_terminal else columns)
