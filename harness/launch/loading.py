"""Find and import a workload: beside its study, in the current folder, or installed."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

TYPE_CHECKING = False  # a rank imports no typing for this
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

#: Environment variable that tells a workload the folder of the tables.
RESULTS = "HARNESS_RESULTS"


class _OwnFirst:
    """Finds Python's own modules where they are, whatever stands in the folders of a study.

    A file named ``signal.py`` beside a study, or in the current folder, would else stand in for
    Python's own, also for libraries that know nothing of it.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The module if it is one of Python's own, at its top level."""
        if path is not None or name not in sys.stdlib_module_names:
            return None
        own = str(Path(os.__file__).parent)
        return PathFinder.find_spec(name, [own, f"{own}/lib-dynload"])


def load_class(workload: str, path: list[str]) -> Any:
    """Import ``module:Class``, looking into the folders of ``path`` first, after Python's own."""
    sys.path[:0] = path
    sys.meta_path.insert(0, _OwnFirst)
    module, _, name = workload.partition(":")
    return getattr(importlib.import_module(module), name)
