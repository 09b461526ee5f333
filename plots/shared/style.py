"""How figures look: legible in grey print and for the colour-blind.

Colours are Okabe and Ito's ("Color Universal Design", 2008). Every strategy also has a marker and
a line style of its own, so that no reader needs the colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from plots.shared.observations import SEQUENTIAL

#: Widths of figures in inches: one column of a journal's page, and two.
ONE, TWO = 3.5, 7.2
WIDTHS = {"one": ONE, "two": TWO}

GREY = "#767676"
BLACK = "#000000"

#: matplotlib settings of every figure. The fixed salt makes an SVG's identifiers reproducible.
SETTINGS: Any = {
    "svg.hashsalt": "sparring",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    # With hints letters are as wide as pixels allow: places found so would not suit SVG and PDF.
    "text.hinting": "none",
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.0,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.0,
    "lines.linewidth": 1.2,
    "lines.markersize": 5.0,
}

#: How a marker is filled says how its point came to be.
FILLS = {
    "measured": "full",
    "oversubscribed": "none",
    "emulated": "left",
    "simulated": "bottom",
    "reference": "none",
}
SOURCE_MEANINGS = {
    "measured": "measured",
    "oversubscribed": "oversubscribed (more processes than cores)",
    "emulated": "emulated (real messages, computing replaced by sleeping)",
    "simulated": "simulated (discrete-event model)",
    "reference": "reference",
}

Dashes = tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of one strategy."""

    colour: str
    marker: str
    dashes: Dashes


_KNOWN = {
    SEQUENTIAL: Look(BLACK, "s", (0, (1, 1))),
    "pipeline": Look("#0072B2", "o", (0, (5, 1.5))),
    "data_parallel": Look("#D55E00", "^", (0, (4, 1.2, 1, 1.2))),
    "sharded": Look("#009E73", "D", (0, (2, 1))),
}
_OTHERS = (
    Look("#0072B2", "o", (0, (5, 1.5))),
    Look("#D55E00", "^", (0, (4, 1.2, 1, 1.2))),
    Look("#009E73", "D", (0, (2, 1))),
    Look("#CC79A7", "v", (0, (6, 1, 1, 1, 1, 1))),
    Look("#E69F00", "P", (0, (3, 3))),
    Look("#56B4E9", "X", (0, (8, 2))),
    Look("#8C4600", "<", (0, (1, 2))),
    Look("#6A3D9A", ">", (0, (5, 1, 1, 1, 1, 1, 1, 1))),
    Look("#004D40", "h", (0, (2, 3))),
    Look("#A6761D", "*", (0, (7, 3))),
)


def looks(strategies: list[str]) -> dict[str, Look]:
    """A look for each strategy; the known ones always keep theirs."""
    known = {name: _KNOWN.get(name.replace(" ", "_")) for name in strategies}
    free = [look for look in _OTHERS if look not in known.values()]
    unknown = [name for name, look in known.items() if look is None]
    chosen = {name: _again(free, number) for number, name in enumerate(unknown)}
    return {name: look or chosen[name] for name, look in known.items()}


def _again(free: Sequence[Look], number: int) -> Look:
    """The look of that number; where they are used up, their colours come with other markers."""
    own = free[number % len(free)]
    return replace(own, marker=free[(number + number // len(free)) % len(free)].marker)


def mark(look: Look, source: str) -> dict[str, Any]:
    """Keywords of a marker, whose fill tells how its point came to be."""
    return {
        "marker": look.marker, "color": look.colour, "markeredgecolor": look.colour, "mew": 1.0,
        "ms": 4.4, "fillstyle": FILLS.get(source, "full"), "markerfacecoloralt": "white",
    }  # fmt: skip


def plain(name: str) -> str:
    """A strategy's name as words."""
    return name.replace("_", " ")
