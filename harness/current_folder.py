"""The current folder as a place of modules: ``python -m`` looks there first, before its own."""

from __future__ import annotations

import os
import sys


def leave() -> None:
    """Stop looking there: a file named ``csv.py`` would stand in for Python's own module.

    Programs of the harness call it before they import anything else; a study's workload is looked
    for there all the same (`harness.launch.loading`).
    """
    try:
        here = os.getcwd()  # noqa: PTH109 (pathlib imports what may be hidden)
    except OSError:  # the folder is gone, and hides nothing
        return
    if sys.path[:1] == [here]:
        del sys.path[0]
