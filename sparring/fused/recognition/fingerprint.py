"""Whether a model is still the one that was recognised, told in microseconds."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast
from weakref import ref

import torch
from torch import Tensor, nn

from sparring.fused.recognition.hooks import any_global_hook, has_hooks
from sparring.networks import Normalize


def fingerprint(model: nn.Module) -> Hashable:
    """A key that changes when `recognise` might answer differently; takes microseconds.

    It covers the tree of modules, their classes, hooks (global ones too) and attributes, the
    parameters' identity, dtype, device and layout, the kinds of a batch normalisation's buffers,
    which tensors were made in inference mode, and the numbers of every `Normalize`. It does not
    change with weights, statistics, gradients, ``requires_grad``, or train and eval mode. Not seen
    are changes inside a list, dict or other object that a module holds, of a class, or of a global.

    The key keeps no model alive: modules are held by weak references, which never equal those of
    a later module at the same address. Parameters, and attributes other than numbers and text, are
    known by their ``id`` (a weak reference to a parameter would make ``torch.utils.swap_tensors``
    fail). A parameter's ``id`` isn't used again while its `Recognised` lives, so keep the two
    together; that of an attribute may be, if it was replaced more than once between two keys.

    Args:
        model: any module.
    """
    parts: list[Any] = [any_global_hook()]
    _add(model, parts)
    return tuple(parts)


#: Attributes that every module has, and looked at in their own way or not of interest.
_COMMON = tuple(vars(nn.Module()))
_COMMON_ATTRIBUTES = frozenset(_COMMON)

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

_PLAIN = frozenset((bool, int, float, str, type(None)))


def _add(module: nn.Module, parts: list[Any]) -> None:
    """Append what `fingerprint` keeps of a module and of those below it.

    Small networks' attacks take little longer than this: it calls as little as it can.
    """
    kind, me = module.__class__, ref(module)
    hash(me)  # which a weak reference keeps, and can't be asked first when its module is gone
    if torch.jit.ScriptModule in kind.__mro__:  # it has no parts to look at
        parts += (me, kind)
        return
    attributes = module.__dict__
    children, parameters = attributes["_modules"], attributes["_parameters"]
    names = tuple(attributes)
    parts += (me, kind, has_hooks(module), names, tuple(parameters), tuple(children))
    for name in names[len(_COMMON) :] if names[: len(_COMMON)] == _COMMON else names:
        if name not in _COMMON_ATTRIBUTES:
            value = attributes[name]
            parts.append(value if value.__class__ in _PLAIN else _key(value))
    for parameter in parameters.values():
        parts.append(id(parameter))
        if parameter.__class__ is nn.Parameter:
            parts += (parameter.dtype, parameter.device, parameter.shape, has_hooks(parameter))
            parts.append(parameter.layout is torch.strided and parameter.stride())
            parts.append(parameter.is_inference())
    for buffer in attributes["_buffers"].values():
        if buffer is not None and buffer.is_inference():
            parts.append("inference")
    if kind in _NORMS:
        parts += map(_kind, attributes["_buffers"].values())
    elif kind is Normalize:
        parts += map(_numbers, attributes["_buffers"].values())
    for child in children.values():
        if child is not None:
            _add(child, parts)


def _key(value: object) -> Hashable:
    """A number or text itself, a tuple of them likewise, any other object's id."""
    kind = type(value)
    if kind is tuple:
        items = cast("tuple[object, ...]", value)
        return items if _PLAIN.issuperset(map(type, items)) else tuple(map(_key, items))
    return value if kind in _PLAIN else id(value)


def _kind(buffer: Tensor | None) -> Hashable:
    """A buffer but for what it holds."""
    return None if buffer is None else (buffer.dtype, buffer.device, buffer.shape)


def _numbers(buffer: Tensor | None) -> Hashable:
    """What a buffer holds, if it is on the CPU."""
    if buffer is None or not buffer.is_cpu:
        return id(buffer)
    return buffer.dtype, buffer.shape, tuple(buffer.flatten().tolist())
