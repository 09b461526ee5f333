"""Starting a command whose packages may be absent: no traceback, but what to install."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

from sparring.errors import absent


def start(module: str, function: str = "run") -> NoReturn:
    """Call a function of a module, and end with what it returns.

    An absent package, or a Python that is too old, becomes one sentence on stderr and exit code 1.
    """
    try:
        command = getattr(import_module(module), function)
    except ImportError as error:
        if (told := absent(error)) is None:
            raise
        sys.exit(f"error: {told}")
    sys.exit(command())
