"""Train or eval mode, and which parameters are trained, for a while.

These are flags of the user's own modules and parameters. Several calls may want them at once: a
trainer inside its own attack, or threads that attack one model. Whatever order they end in, the
last one to leave puts back what the user had set.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

#: The mode of each module of a model: True to train.
Modes = Mapping[nn.Module, bool]

_lock = threading.RLock()


class _Claims:
    """What the calls under way want one attribute of many objects to be.

    Args:
        attribute: its name.
    """

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute
        #: By the object's id: the object, the user's own value, and each call's wish in turn.
        self._held: dict[int, tuple[Any, bool, list[tuple[object, bool]]]] = {}

    def own(self, thing: Any) -> bool:
        """The user's own value."""
        held = self._held.get(id(thing))
        return bool(getattr(thing, self._attribute) if held is None else held[1])

    def enter(self, call: object, wishes: Iterable[tuple[Any, bool]]) -> None:
        """The latest wish is what holds."""
        for thing, wanted in wishes:
            now = bool(getattr(thing, self._attribute))
            self._held.setdefault(id(thing), (thing, now, []))[2].append((call, wanted))
            self._set(thing, wanted)

    def leave(self, call: object, things: Iterable[Any]) -> None:
        """What the latest call still under way wants, or else the user's own value."""
        for thing in things:
            _, before, wishes = self._held[id(thing)]
            wishes[:] = [wish for wish in wishes if wish[0] is not call]
            self._set(thing, wishes[-1][1] if wishes else before)
            if not wishes:
                del self._held[id(thing)]

    def _set(self, thing: Any, value: bool) -> None:
        if getattr(thing, self._attribute) != value:
            setattr(thing, self._attribute, value)


_training, _requires_grad = _Claims("training"), _Claims("requires_grad")


@contextmanager
def mode(model: nn.Module, training: bool | Modes) -> Iterator[None]:
    """Train or eval mode, or each module's own; on leaving, every submodule is as before.

    Some may be in another mode than the model: a frozen layer in eval mode, for example.
    """
    with _lock:
        wanted = _all_in(model, training) if isinstance(training, bool) else dict(training)
        _training.enter(call := object(), wanted.items())
    try:
        yield
    finally:
        with _lock:
            _training.leave(call, wanted)


def training_modes(model: nn.Module) -> Modes:
    """How each module is when the model is trained: as the user set it, a frozen layer too.

    A model that is in eval mode as a whole goes to train mode as a whole.
    """
    with _lock:
        if _training.own(model):
            return {module: _training.own(module) for module in model.modules()}
        return _all_in(model, True)


def _all_in(model: nn.Module, training: bool) -> dict[nn.Module, bool]:
    """Each module's mode after ``model.train(training)``, which a model may have its own of."""
    before = [(module, module.training) for module in model.modules()]
    try:
        model.train(training)
        return {module: module.training for module, _ in before}
    finally:
        for module, was in before:
            module.training = was


@contextmanager
def trainable(parameters: Iterable[nn.Parameter], wanted: bool) -> Iterator[None]:
    """All of the parameters require gradients, or none; on leaving, each as before."""
    switched = list(parameters)
    with _lock:
        _requires_grad.enter(call := object(), [(parameter, wanted) for parameter in switched])
    try:
        yield
    finally:
        with _lock:
            _requires_grad.leave(call, switched)


@contextmanager
def gradients_kept(parameters: Iterable[Tensor]) -> Iterator[None]:
    """On leaving, each parameter's ``grad`` is what it was, whatever was left there meanwhile."""
    before = [(parameter, parameter.grad) for parameter in parameters]
    try:
        yield
    finally:
        for parameter, grad in before:
            parameter.grad = grad


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """On leaving, every buffer is the tensor that it was, with the values that it had."""
    holders = [(module, dict(module._buffers)) for module in model.modules()]
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for module, held in holders:
            module._buffers.update(held)
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)


def made_in_inference_mode(module: nn.Module | None) -> bool:
    """Whether a tensor of a module, or of one below it, was made under inference mode.

    ``parameters()`` names each, which takes as long as a small network's whole attack.
    """
    if module is None:
        return False
    for tensors in (module._parameters, module._buffers):
        for tensor in tensors.values():
            if tensor is not None and tensor.is_inference():
                return True
    return any(map(made_in_inference_mode, module._modules.values()))
