"""The refusal of a model, and how refusals name things."""

from __future__ import annotations

from typing import Any

import torch

from sparring.errors import SparringError


class UnsupportedError(SparringError):
    """The model isn't one that the fused engine computes; the message is the reason."""


def operation_name(target: Any) -> str:
    """A graph node's operation in a message."""
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def short(dtype: torch.dtype) -> str:
    """A dtype's name without ``torch.``."""
    return str(dtype).removeprefix("torch.")
