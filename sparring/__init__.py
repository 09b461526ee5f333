"""Parallel adversarial training of neural networks.

``import sparring`` is lazy (PEP 562): it loads neither torch nor numpy until a name is used, so
that a process which only emulates training starts in a blink.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring import attacks, data, networks
    from sparring.attacks import FGSM, PGD, GradientAscent
    from sparring.backends import compile
    from sparring.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "FGSM",
    "PGD",
    "GradientAscent",
    "Trainer",
    "__version__",
    "attacks",
    "compile",
    "data",
    "networks",
]

_SUBMODULES = frozenset({"attacks", "data", "networks"})
_HOMES = {
    "FGSM": "attacks",
    "PGD": "attacks",
    "GradientAscent": "attacks",
    "Trainer": "trainer",
    "compile": "backends",
}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
