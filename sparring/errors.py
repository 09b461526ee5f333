"""The error that a user of the library is meant to read."""

from __future__ import annotations

from collections.abc import Iterable


class SparringError(Exception):
    """Bad input, told in one sentence that names the culprit and what was expected."""


def diverged(found: str) -> SparringError:
    """The error of training that led to numbers which are none, and what may help."""
    return SparringError(
        f"training diverged: {found}; a smaller learning rate or step size may help"
    )


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: the nearest of those known, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(str(name).lower(), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
