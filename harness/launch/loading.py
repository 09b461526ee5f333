"""Find and import a workload: beside its study, in the current folder, or installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

#: Environment variable that tells a workload the folder of the tables.
RESULTS = "HARNESS_RESULTS"


def shadows(path: list[str]) -> list[str]:
    """Files in these folders that are named like modules of Python itself, and are found first."""
    return [
        str(file)
        for folder in dict.fromkeys(path)
        for file in sorted(Path(folder).glob("*"))
        if file.stem in sys.stdlib_module_names
        and (file.suffix == ".py" or (file / "__init__.py").is_file())
    ]


def load_class(workload: str, path: list[str]) -> Any:
    """Import ``module:Class``, looking into the folders of ``path`` first."""
    sys.path[:0] = path
    module, _, name = workload.partition(":")
    return getattr(importlib.import_module(module), name)
