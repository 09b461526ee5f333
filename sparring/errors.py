"""The error that a user of the library is meant to read."""

from __future__ import annotations


class SparringError(Exception):
    """Bad input, told in one sentence that names the culprit and what was expected."""


def diverged(found: str) -> SparringError:
    """The error of training that led to numbers which are none, and what may help."""
    return SparringError(
        f"training diverged: {found}; a smaller learning rate or step size may help"
    )
