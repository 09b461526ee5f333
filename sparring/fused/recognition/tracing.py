"""The graph of a model's forward, by torch.fx."""

from __future__ import annotations

import copy
import operator
import threading
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import fx, nn

from sparring.fused.recognition.layers import LAYERS
from sparring.fused.recognition.unsupported import UnsupportedError


class _Tracer(fx.Tracer):
    """Tracing that stops at every layer, and refuses what a graph wouldn't show.

    While it runs, torch.fx has patched ``nn.Module`` for the whole process: what other threads
    call meanwhile comes by here, and is passed on.
    """

    def __init__(self) -> None:
        # Without modules of functions to wrap, another thread's call never patches its globals.
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A module that is called: a node of the graph, or just a call in another thread."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A parameter that is read: a node of the graph, or just itself in another thread."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Layers, classes derived from layers, and what else is PyTorch's own."""
        return isinstance(m, tuple(LAYERS)) or super().is_leaf_module(m, module_qualified_name)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A node of the graph; the modes it would run in aren't recorded with it."""
        if not torch.is_grad_enabled():
            raise UnsupportedError("the model's forward turns gradients off")
        if torch.is_autocast_enabled("cpu"):
            raise UnsupportedError("the model's forward turns autocast on")
        return super().create_node(*args, **kwargs)

    def get_fresh_qualname(self, prefix: str) -> str:
        """Called to store a constant tensor as a new attribute of the model."""
        raise UnsupportedError("the model's forward uses a tensor that is not a parameter")


def trace(model: nn.Module, training: bool) -> tuple[nn.Module, fx.Graph]:
    """A copy of the model with the same parameter objects, and its graph in one of the modes.

    Raises:
        UnsupportedError: if torch.fx fails, or the forward also writes to the model.
    """
    try:
        with (
            torch.inference_mode(mode=False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.random.fork_rng(devices=[]),  # noise that is no function of x is drawn at once
        ):
            # Whatever a forward does to its module while it is traced, it does to the copy.
            originals = {id(parameter): parameter for parameter in model.parameters()}
            model = copy.deepcopy(model, originals)
            model.train(training)
            objects, versions = _contents(model)
            graph = _Tracer().trace(model)
            objects_after, versions_after = _contents(model)
    except UnsupportedError:
        raise
    except Exception as error:  # whatever the user's own code raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0][:200]
        raise UnsupportedError(f"torch.fx can't trace the model: {reason}") from error
    if versions != versions_after or not identical(objects, objects_after):
        raise UnsupportedError("the model's forward changes attributes or buffers of the model")
    return model, graph


def _contents(model: nn.Module) -> tuple[tuple[object, ...], tuple[int, ...]]:
    """All that a model's modules hold, and how often each buffer was written to."""
    holders = chain.from_iterable((vars(module), module._buffers) for module in model.modules())
    objects = tuple(chain.from_iterable(holder.values() for holder in holders))
    return objects, tuple(buffer._version for buffer in model.buffers())


def identical(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    """Whether two tuples hold the same objects."""
    return len(first) == len(second) and all(map(operator.is_, first, second))
