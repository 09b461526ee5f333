"""The graph of a forward, walked layer by layer."""

from __future__ import annotations

import builtins
import operator
from inspect import signature
from itertools import chain as chained
from typing import Any

from torch import fx, nn

from sparring.fused.network import IMAGE, Network
from sparring.fused.recognition import operations
from sparring.fused.recognition.chain import Chain, Link
from sparring.fused.recognition.layers import LAYERS, title
from sparring.fused.recognition.operations import IN_PLACE, OPERATIONS
from sparring.fused.recognition.unsupported import UnsupportedError, operation_name
from sparring.fused.recognition.values import Attribute, Storage, Value

#: What computes sizes of tensors.
_SIZES = frozenset((builtins.getattr, "size", operator.getitem, operator.mul))


class Walk:
    """The network as far as the graph has been walked.

    Args:
        shape: (channels, height, width) of an image, or (features,).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._chain = Chain(shape)
        self._image = Value(shape, Storage(IMAGE))
        self._output: object = None
        self._values: dict[fx.Node, object] = {}

    def result(self) -> tuple[Network, Chain]:
        """The network, and what it was made of, once all nodes have been visited."""
        if not isinstance(self._output, Value):
            raise UnsupportedError("the model's forward doesn't return one tensor")
        if self._output.layer != self._chain.last:
            raise UnsupportedError("the model's forward returns another value than its last")
        return self._chain.network(), self._chain

    def visit(self, node: fx.Node, model: nn.Module) -> None:
        """Take one node of the graph, whose arguments have been visited."""
        value_of: Any = self._values.__getitem__
        args: Any = fx.node.map_arg(node.args, value_of)
        kwargs: Any = fx.node.map_arg(node.kwargs, value_of)
        value: object
        if node.op == "placeholder":
            if self._values:
                raise UnsupportedError("the model's forward takes more than one argument")
            value = self._image
        elif node.op == "output":
            self._output = value = args[0]
        elif node.op == "get_attr":
            value = Attribute(str(node.target))
        elif node.op == "call_module":
            name = str(node.target)
            module = model.get_submodule(name)
            value = self._computed(title(name, module), _layer(name, module), args, kwargs)
            if getattr(module, "inplace", False):
                _put(args[0], value)
        elif node.target is operator.getitem and isinstance(args[0], Value):
            value = self._computed("operation getitem", operations.index, args, kwargs)
        elif node.target in _SIZES:
            value = _size(node.target, args, kwargs)
        elif node.target in OPERATIONS:
            name = f"operation {operation_name(node.target)}"
            value = self._computed(name, OPERATIONS[node.target], args, kwargs)
            if node.target in IN_PLACE or kwargs.get("inplace"):
                _put(args[0] if args else kwargs["input"], value)
        else:
            raise _refusal(operation_name(node.target), args, kwargs)
        self._values[node] = value
        if isinstance(value, Value) and sum(map(_uses, node.users)) > 1:
            self._chain.shared.add(value.layer)

    def _computed(
        self, name: str, link: Link, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Value:
        """The value that an operation makes of others."""
        try:
            bound = signature(link).bind(self._chain, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedError(f"{name} has arguments that aren't understood") from error
        _, given, *_ = bound.arguments.values()
        if not isinstance(given, Value):
            raise UnsupportedError(f"{name} is applied to something else than the layers' output")
        if self._chain.dense and (
            given.layer != self._chain.last or given.layer in self._chain.shared
        ):
            raise UnsupportedError(
                f"{name} takes a value that isn't that of the layer before it; behind the first "
                "linear layer the fused engine takes one chain without branches"
            )
        before = self._chain.last
        try:
            shape = link(self._chain, *args, **kwargs)
        except UnsupportedError as error:
            raise UnsupportedError(f"{name} {error}") from None
        appended = self._chain.last > before
        return Value(shape, Storage(self._chain.last) if appended else given.storage)


def _put(written: Value, result: Value) -> None:
    """What was written in place is the result from now on."""
    written.storage.layer = result.layer


def _uses(node: fx.Node) -> bool:
    """Whether a node uses more of its argument than its sizes."""
    if node.op == "call_function" and node.target is builtins.getattr:
        return False
    return not (node.op == "call_method" and node.target == "size")


def _layer(name: str, module: nn.Module) -> Link:
    """What a layer does to the chain, as a function of the chain and a tensor."""
    if type(module) not in LAYERS:
        for kind in LAYERS:
            if isinstance(module, kind):
                raise UnsupportedError(
                    f"{title(name, module)} is derived from {kind.__name__}; the fused engine "
                    "takes the class itself"
                )
        raise UnsupportedError(f"{title(name, module)} is not one that the fused engine takes")
    link = LAYERS[type(module)]
    return lambda chain, input: link(chain, input, module)


def _size(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """The result of arithmetic on sizes, such as ``x.shape[0]``."""
    name = operation_name(target)
    match name, args:
        case "getattr", (Value() as value, "shape"):
            return value.sizes
        case "getattr", (Value(), attribute):
            name = f".{attribute}"
        case "size", (Value() as value,) if not kwargs:
            return value.sizes
        case "size", (Value() as value, int() as dim) if (
            -len(value.sizes) <= dim < len(value.sizes)
        ):
            return value.sizes[dim]
        case "getitem", (tuple() as sizes, int() as i) if -len(sizes) <= i < len(sizes):
            return sizes[i]
        case "mul", (int() as a, int() as b):
            return a * b
    raise _refusal(name, args, kwargs)


def _refusal(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> UnsupportedError:
    """Why an operation isn't taken."""
    for argument in chained(args, kwargs.values()):
        if isinstance(argument, Attribute):
            return UnsupportedError(
                f"operation {name} uses {argument.name} directly; the fused engine takes "
                "layers such as nn.Conv2d and nn.Linear"
            )
    return UnsupportedError(f"operation {name} is not one that the fused engine takes")
