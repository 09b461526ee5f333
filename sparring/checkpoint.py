"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sparring import outputs
from sparring.errors import SparringError, sentence

#: What the parts of a checkpoint are.
_KINDS = {"updates": int, "model": dict, "optimizer": dict, "torch_random_state": torch.Tensor,
          "settings": dict, "about": dict}  # fmt: skip

#: Format 2 added `Checkpoint.about`; format 1 is still read.
FORMAT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run after some updates.

    Attributes:
        updates: updates done: the weights' version, and the next minibatch's number.
        model: the model's state dictionary.
        optimizer: the optimizer's state dictionary.
        torch_random_state: PyTorch's global generator (dropout draws from it); all other random
            numbers are keyed by seed, epoch and image and have no state.
        settings: what must be the same for the run to go on: seed, batch size, images.
        about: what an evaluation wants to know: ``network`` (its class), ``dataset``, ``bounds``
            (pixel range) and ``attack`` of the training; empty in files of format 1.
    """

    updates: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    torch_random_state: torch.Tensor
    settings: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all: a crash leaves the last one intact.

    Raises:
        OSError: if it cannot be written.
    """
    outputs.replace(path, as_bytes(checkpoint))


def as_bytes(checkpoint: Checkpoint) -> memoryview:
    """The content of a checkpoint's file.

    In memory first: written straight to a file that cannot grow, PyTorch names a position and not
    the disk.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **_plain(vars(checkpoint))}, buffer)
    return buffer.getbuffer()


def _plain(value: Any) -> Any:
    """With NumPy's numbers, of settings or a learning rate, as Python's: `load` takes no others."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {_plain(key): _plain(held) for key, held in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        SparringError: if it is missing, damaged, no checkpoint, or of a newer format.
    """
    try:
        with warnings.catch_warnings():  # about files that are none of ours
            warnings.simplefilter("ignore")
            content = torch.load(path, weights_only=True, map_location="cpu")
        version = content.pop("format")
        if version > FORMAT:
            raise SparringError(f"{path}: checkpoint format {version} is newer than {FORMAT}")
        checkpoint = Checkpoint(**content)
        for name, kind in _KINDS.items():
            if not isinstance(getattr(checkpoint, name), kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        return checkpoint
    except FileNotFoundError:
        raise SparringError(f"{path}: no such checkpoint") from None
    except SparringError:
        raise
    except Exception as error:  # the bytes of another file make PyTorch raise anything
        reason = (str(error).splitlines() or [""])[0].split(". ")[0] or type(error).__name__
        raise SparringError(f"{path}: damaged, or no checkpoint of Sparring ({reason})") from None


def capture(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    updates: int,
    settings: dict[str, Any],
    about: dict[str, Any] | None = None,
) -> Checkpoint:
    """The present state as a checkpoint; its tensors are the live ones: save it at once."""
    return Checkpoint(
        updates, model.state_dict(), optimizer.state_dict(), torch.get_rng_state(), settings,
        about or {},
    )  # fmt: skip


def restore(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    path: Path,
) -> None:
    """Put a checkpoint's state into model and optimizer.

    Raises:
        SparringError: if it belongs to another network or to other settings, naming the first.
    """
    for name in {**settings, **checkpoint.settings}:
        wanted, found = settings.get(name), checkpoint.settings.get(name)
        if found != wanted:
            raise SparringError(f"{path}: was made with {name} = {found}, not {wanted}")
    try:
        model.load_state_dict(checkpoint.model)
        optimizer.load_state_dict(checkpoint.optimizer)
    except (RuntimeError, ValueError) as error:
        raise SparringError(
            f"{path}: does not fit this model or optimizer: {sentence(error)}"
        ) from None
    torch.set_rng_state(checkpoint.torch_random_state)
