"""The error that a user of the library is meant to read."""

from __future__ import annotations


class SparringError(Exception):
    """Bad input, told in one sentence that names the culprit and what was expected."""
