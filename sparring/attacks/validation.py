"""Checks of settings and inputs, each failing with one sentence that names the culprit."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

from sparring.backends import BACKENDS
from sparring.logits import ModelError

#: Of a length: twice as much must still be a number of float32.
_MOST = 1e38


def settle(attack: object, **values: object) -> None:
    """Keep checked settings in a frozen attack, as Python's own types."""
    for name, value in values.items():
        object.__setattr__(attack, name, value)


def check_number(name: str, value: object, *, positive: bool = False) -> float:
    """A finite number of 0 or more, or above 0 if it is to be positive; of NumPy's too.

    Raises:
        ValueError: if it is not.
    """
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not (math.isfinite(number) and (number > 0 if positive else number >= 0)):
        expected = "above 0" if positive else "at least 0"
        raise ValueError(f"{name} must be a finite number {expected}, not {value!r}")
    if number > _MOST:
        raise ValueError(f"{name} must be at most {_MOST:g}, not {value!r}")
    return number


def check_flag(name: str, value: object) -> bool:
    """True or false, and nothing else that Python would take for either.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, bool | np.bool):
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return bool(value)


def check_count(name: str, value: object) -> int:
    """An integer, 1 or more; of NumPy's too.

    Raises:
        ValueError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
    return int(value)


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """One of the names.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(repr(choice) for choice in sorted(choices))
        raise ValueError(f"{name} must be one of {names}, not {value!r}")


def check_backend(backend: object) -> None:
    """One of the backends that attacks take.

    Raises:
        ValueError: if it is not.
    """
    check_choice("backend", backend, BACKENDS)


def check_bounds(bounds: object) -> tuple[float, float]:
    """A pair (low, high) with low < high, returned as a tuple of floats.

    Raises:
        ValueError: if it is not.
    """
    try:
        low, high = (float(bound) for bound in bounds)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not low < high:
        raise ValueError(f"bounds must be two numbers (low, high) with low < high, not {bounds!r}")
    return low, high


def check_batch(x: Tensor, y: Tensor) -> None:
    """Images ``(n, ...)`` of a floating dtype and n integers; `check_labels` sees their values.

    Raises:
        ValueError: if they are not.
    """
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a torch.Tensor, not a {type(value).__name__}")
    if not x.is_floating_point():
        raise ValueError(f"x must have a floating dtype, not {x.dtype}")
    if x.dim() < 2:
        raise ValueError(f"x must be a batch of shape (n, ...), not {tuple(x.shape)}")
    if y.dtype == torch.bool or y.is_floating_point() or y.is_complex():
        raise ValueError(f"y must have an integer dtype, not {y.dtype}")
    if tuple(y.shape) != (x.shape[0],):
        raise ValueError(
            f"y must have shape ({x.shape[0]},), one label for each image of x, "
            f"not {tuple(y.shape)}"
        )


def check_labels(y: Tensor) -> None:
    """Integers of 0 or more.

    Raises:
        ValueError: if one is not.
    """
    wide = y.to(torch.int64)  # the unsigned types have no comparisons
    if len(wide) and int(wide.min()) < 0:
        if y.dtype == torch.uint64:  # from 2**63 its numbers have turned negative
            raise ValueError(f"y must hold labels below 2**63, not {int(wide.min()) + 2**64}")
        raise ValueError(f"y must hold labels of at least 0, not {int(wide.min())}")


def check_pixels(x: Tensor, bounds: tuple[float, float]) -> None:
    """Every pixel within the bounds; NaN is not.

    Raises:
        ValueError: if one is not.
    """
    low, high = bounds
    if x.numel() == 0:
        return
    least, most = x.aminmax()  # NaN if a pixel is
    if low <= least.item() and most.item() <= high:
        return
    outside = x[~((x >= low) & (x <= high))]  # by bounds rounded as the pixels are
    if len(outside) == 0:
        return
    raise ValueError(
        f"x must lie within bounds ({low:g}, {high:g}), but holds {outside[0].item():g}"
    )


def check_numbers(x: Tensor) -> None:
    """No pixel that is not a number.

    Raises:
        ValueError: if one is.
    """
    if x.numel() and math.isnan(x.min()):
        raise ValueError("x must hold numbers, but holds nan")


def check_logits(logits: Tensor, y: Tensor) -> None:
    """Logits ``(n, classes)`` with a class for every label.

    Raises:
        ValueError: if they are not.
    """
    check_logits_shape(tuple(logits.shape), y)
    check_classes(y, logits.shape[1])


def check_logits_shape(shape: tuple[int, ...], y: Tensor) -> None:
    """Logits for each label, of at least two classes.

    Raises:
        ModelError: if they are not.
    """
    if len(shape) != 2 or shape[0] != y.shape[0] or shape[1] < 2:
        raise ModelError(
            f"the model must return logits of shape ({y.shape[0]}, classes) with at least 2 "
            f"classes, not {shape}"
        )


def check_classes(y: Tensor, classes: int) -> None:
    """Labels of at least one image, each below the number of classes.

    Raises:
        ValueError: if one is not.
    """
    if int(y.max()) >= classes:
        raise ValueError(
            f"y must hold labels below {classes}, the model's number of classes, not {int(y.max())}"
        )
