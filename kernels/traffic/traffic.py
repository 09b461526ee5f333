"""Bytes that a kernel moves between levels of memory, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.machines.roof import Roof

#: Where bytes come from, as a table's column ``bytes_source`` names it.
SOURCES = ("compulsory", "cachesim", "likwid")


@dataclass(frozen=True)
class Traffic:
    """Bytes of one call.

    Attributes:
        level: which memory they come from or go to: "L2" is between L1 and L2.
        bytes: of one call.
        source: one of `SOURCES`.
    """

    level: str
    bytes: float
    source: str


def compulsory(size: float, roof: Roof) -> list[Traffic]:
    """The least: every input and output once, from the level that holds them all.

    Args:
        size: these bytes.
        roof: whose capacities say which level that is.
    """
    return [Traffic(roof.level(size), size, "compulsory")]
