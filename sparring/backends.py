"""Which backend computes: PyTorch, or the fused engine where it can."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sparring.errors import SparringError

if TYPE_CHECKING:
    from sparring.fused.engine import Engine

log = logging.getLogger(__name__)

#: What an option ``backend`` may be.
BACKENDS = ("auto", "torch", "fused")

#: Set to ``torch``, it makes ``auto`` mean PyTorch everywhere.
VARIABLE = "SPARRING_BACKEND"


class BackendError(SparringError, ValueError):
    """The fused engine was asked for and cannot serve.

    Args:
        what: that it cannot serve.
        reason: why not.
    """

    def __init__(self, what: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the fused engine cannot serve {what}: {reason}; with backend 'auto' PyTorch would"
        )


def compile(model: nn.Module, image_shape: tuple[int, ...] = (1, 28, 28)) -> Engine:
    """Compile a model for this machine, or fetch what was compiled before.

    Networks of Conv2d (depthwise and grouped ones, too), ReLU and other activations, MaxPool2d,
    AvgPool2d, AdaptiveAvgPool2d, residual additions, Flatten and Linear are supported, written as
    a Sequential or as any Module that torch.fx can trace, with `sparring.networks.Normalize` in
    front if wanted; float32, on the CPU. BatchNorm and
    Dropout are taken as they are in eval mode: attacks are served then, and updates are PyTorch's.
    Attacks and trainers with ``backend="auto"`` call this by themselves.

    Args:
        model: from images to logits; its weights are read anew at every use.
        image_shape: (channels, height, width) of an image, or (features,); by default MNIST's.

    Raises:
        BackendError: with the reason, if the model is not supported or cannot be built.
    """
    engine = engine_of("fused", model, tuple(image_shape))
    assert engine is not None  # "fused" raises otherwise
    return engine


def engine_for(backend: str, model: nn.Module, x: Tensor) -> Engine | None:
    """The engine that computes ``model`` on images ``x``, or None for PyTorch.

    Engines are built once for a model and kept as long as it lives. The weights are those of this
    moment, whoever changed them.

    Raises:
        BackendError: if ``backend`` is ``"fused"`` and the engine cannot serve.
    """
    if not wanted(backend):
        return None
    if x.dtype != torch.float32:
        _fall_back(backend, model, f"images are {str(x.dtype).removeprefix('torch.')}")
        return None
    if x.device.type != "cpu":
        _fall_back(backend, model, f"images are on {x.device}")
        return None
    return engine_of(backend, model, tuple(x.shape[1:]))


def engine_of(
    backend: str, model: nn.Module, image_shape: tuple[int, ...], *, updates: bool = False
) -> Engine | None:
    """As `engine_for`, for float32 images of a shape (channels, height, width) or (features,).

    With ``updates``, one that computes these as well: attacks run the model in eval mode, where the
    engine may know it although it does not in train mode.

    Raises:
        BackendError: if ``backend`` is ``"fused"`` and the engine cannot serve.
    """
    if not wanted(backend):
        return None
    pinned = _pinned.get(model)
    found = pinned if pinned and pinned.fits_images(image_shape) else _find(model, image_shape)
    if isinstance(found, str):
        _fall_back(backend, model, found)
        return None
    if updates and found.only_attacks:
        _fall_back(backend, model, found.only_attacks, "updates")
        return None
    found.refresh()
    return found


def pin(model: nn.Module, engine: Engine | None) -> None:
    """Take this engine for the model without looking whether it fits still; None ends that."""
    if engine is None:
        _pinned.pop(model, None)
    else:
        _pinned[model] = engine


def wanted(backend: str) -> bool:
    """Whether a backend means the engine, where it can serve."""
    return backend == "fused" or (
        backend == "auto" and os.environ.get(VARIABLE, "auto").strip().lower() != "torch"
    )


#: For each model and image shape its engine, or why there is none.
_engines: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], tuple[object, Engine | str]]] = (
    WeakKeyDictionary()
)
_pinned: WeakKeyDictionary[nn.Module, Engine] = WeakKeyDictionary()
_told: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()
_lock = threading.Lock()


def _find(model: nn.Module, image_shape: tuple[int, ...]) -> Engine | str:
    from sparring.fused.recognise import fingerprint

    with _lock:
        known = _engines.setdefault(model, {})
        key = fingerprint(model)
        if image_shape in known and known[image_shape][0] == key:
            return known[image_shape][1]
        known[image_shape] = key, (found := _build(model, image_shape))
        return found


def _build(model: nn.Module, image_shape: tuple[int, ...]) -> Engine | str:
    from sparring.fused.engine import Engine

    try:
        return Engine(model, image_shape)
    except (SparringError, OSError) as error:
        return str(error)


def _fall_back(backend: str, model: nn.Module, reason: str, work: str = "") -> None:
    """Tell once for a model why PyTorch serves it, or raise where the engine was asked for.

    Or only some work on it.
    """
    if backend == "fused":
        what = f"{work} of this model" if work else "this model"
        raise BackendError(what, reason)
    told = _told.setdefault(model, set())
    if reason not in told:
        told.add(reason)
        log.warning(
            "PyTorch computes %sthis %s, not the fused engine: %s",
            f"{work} of " if work else "", type(model).__name__, reason,
        )  # fmt: skip
