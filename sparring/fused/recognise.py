"""Which PyTorch models the fused engine can compute, and as which `Network`.

The model's forward is traced by torch.fx, in eval and in train mode, and the graph is walked as one
chain of layers. What is not understood is refused with a reason: a wrong guess would train another
network than the user's. Nothing is guessed from a class's name, so any module whose forward amounts
to such a chain is recognised.
"""

from __future__ import annotations

import builtins
import copy
import operator
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from inspect import signature
from itertools import chain
from math import prod
from types import MappingProxyType
from typing import Any, cast
from weakref import ref

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)
from torch.nn.modules import module as torch_module

from sparring.errors import SparringError
from sparring.fused.network import Convolution, Dense, Network
from sparring.networks import Normalize


class UnsupportedError(SparringError):
    """The model isn't one that the fused engine computes; the message is the reason."""


@dataclass(frozen=True, eq=False)  # == of parameters would compare their elements
class Recognised:
    """A model as the fused engine sees it.

    Attributes:
        network: its layers.
        parameters: weight and bias of each layer, in the layers' order (convolutions, then dense);
            None where a layer has no bias. They are the model's own objects, and all that it has.
    """

    network: Network
    parameters: tuple[nn.Parameter | None, ...]


def recognise(model: nn.Module, image_shape: tuple[int, ...]) -> Recognised:
    """The network that a model computes, with the parameters from which it computes it.

    The model is left as it was. While its forward is traced (for milliseconds), torch.fx patches
    ``nn.Module`` for the whole process, so no other thread may run a model meanwhile. What the
    forward reads from outside the model is taken as it is now.

    Args:
        model: from images ``(n, *image_shape)`` to logits.
        image_shape: (channels, height, width) of one image.

    Raises:
        UnsupportedError: if the fused engine can't compute the model; the message says why.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise UnsupportedError(
            f"images have the shape {tuple(image_shape)}; the fused engine takes "
            "(channels, height, width), each 1 or more"
        )
    shape = (int(image_shape[0]), int(image_shape[1]), int(image_shape[2]))
    _check_modules(model)
    _check_parameters(model)
    evaluated = _recognise_in_mode(model, shape, training=False)
    try:
        trained = _recognise_in_mode(model, shape, training=True)
    except UnsupportedError as error:
        raise UnsupportedError(f"the model behaves differently in train mode: {error}") from error
    if trained.network != evaluated.network or not _identical(
        trained.parameters, evaluated.parameters
    ):
        raise UnsupportedError("the model behaves differently in train mode")
    used = {id(parameter) for parameter in evaluated.parameters}
    for name, parameter in model.named_parameters():
        if id(parameter) not in used:
            raise UnsupportedError(f"parameter {name} takes no part in the model's layers")
    return evaluated


def fingerprint(model: nn.Module) -> Hashable:
    """A key that changes when `recognise` might answer differently; takes microseconds.

    It covers the tree of modules, their classes, hooks (global ones too) and attributes, the
    parameters' identity, dtype, device and layout, and the numbers of every `Normalize`. It does
    not change with weights, gradients, ``requires_grad``, or train and eval mode. Not seen are
    changes inside a list, dict or other object that a module holds, of a class, or of a global.

    The key keeps no model alive: modules are held by weak references, which never equal those of
    a later module at the same address. Parameters, and attributes other than numbers and text, are
    known by their ``id`` (a weak reference to a parameter would make ``torch.utils.swap_tensors``
    fail). A parameter's ``id`` isn't used again while its `Recognised` lives, so keep the two
    together; that of an attribute may be, if it was replaced more than once between two keys.

    Args:
        model: any module.
    """
    parts: list[Any] = [_any_global_hook()]
    _add_fingerprint(model, parts)
    key = tuple(parts)
    hash(key)  # a weak reference keeps its hash, and can't be hashed first when its module is gone
    return key


#: Attributes that every module has, and looked at in their own way or not of interest.
_COMMON_ATTRIBUTES = frozenset(vars(nn.Module()))

_PLAIN = frozenset((bool, int, float, str, type(None)))


def _add_fingerprint(module: nn.Module, parts: list[Any]) -> None:
    """Append what `fingerprint` keeps of a module and of those below it."""
    attributes = module.__dict__
    children, parameters = attributes["_modules"], attributes["_parameters"]
    parts += (ref(module), module.__class__, _has_hooks(module))
    parts += (tuple(attributes), tuple(parameters.keys()), tuple(children.keys()))
    for name, value in attributes.items():
        if name not in _COMMON_ATTRIBUTES:
            parts.append(value if value.__class__ in _PLAIN else _key(value))
    for parameter in parameters.values():
        parts.append(id(parameter))
        if parameter.__class__ is nn.Parameter:
            parts += (parameter.dtype, parameter.device, parameter.shape, _has_hooks(parameter))
            parts.append(parameter.layout is torch.strided and parameter.stride())
    if module.__class__ is Normalize:
        parts += map(_numbers, attributes["_buffers"].values())
    for child in children.values():
        if child is not None:
            _add_fingerprint(child, parts)


def _key(value: object) -> Hashable:
    """A number or text itself, a tuple of them likewise, any other object's id."""
    if value.__class__ is tuple:
        return tuple(map(_key, cast("tuple[object, ...]", value)))
    return value if value.__class__ in _PLAIN else id(value)


def _numbers(buffer: Tensor | None) -> Hashable:
    """What a buffer holds, if it is on the CPU."""
    if buffer is None or not buffer.is_cpu:
        return id(buffer)
    return buffer.dtype, buffer.shape, tuple(buffer.flatten().tolist())


def _any_global_hook() -> bool:
    """Whether a hook is registered for all modules."""
    return bool(cast(Any, torch_module)._has_any_global_hook())


def _has_hooks(owner: Any) -> bool:
    """Whether a module or a parameter has hooks that a forward or backward pass would call."""
    if isinstance(owner, Tensor):
        return bool(owner._backward_hooks or owner._post_accumulate_grad_hooks)
    return bool(
        owner._forward_hooks
        or owner._forward_pre_hooks
        or owner._backward_hooks
        or owner._backward_pre_hooks
    )


def _check_modules(model: nn.Module) -> None:
    """Refuse what tracing would not see: hooks, and calls that don't end in the class's forward."""
    if _any_global_hook():
        raise UnsupportedError("a hook is registered for all modules; the fused engine calls none")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedError(f"{_title(name, module)} is compiled by TorchScript")
        if _has_hooks(module):
            raise UnsupportedError(f"{_title(name, module)} has hooks; the fused engine calls none")
        if type(module).__call__ is not nn.Module.__call__:
            raise UnsupportedError(f"{_title(name, module)} has its own __call__")
        for attribute, value in vars(module).items():
            if callable(value) and callable(getattr(type(module), attribute, None)):
                raise UnsupportedError(
                    f"{_title(name, module)} has its method {attribute} replaced"
                )


def _check_parameters(model: nn.Module) -> None:
    """Refuse parameters that the engine can't read and write as float32 arrays."""
    for name, parameter in model.named_parameters():
        if type(parameter) is not nn.Parameter:
            problem = f"of type {type(parameter).__name__}; the fused engine takes nn.Parameter"
        elif parameter.dtype is not torch.float32:
            problem = f"{_short(parameter.dtype)}; the fused engine takes float32"
        elif not parameter.is_cpu:
            problem = f"on {parameter.device}; the fused engine runs on the CPU"
        elif parameter.layout is not torch.strided or not parameter.is_contiguous():
            problem = "not a dense contiguous array"
        elif _has_hooks(parameter):
            raise UnsupportedError(f"parameter {name} has hooks; the fused engine calls none")
        else:
            continue
        raise UnsupportedError(f"parameter {name} is {problem}")


class _Tracer(fx.Tracer):
    """Tracing that stops at every layer, and refuses what a graph wouldn't show."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Layers, classes derived from layers, and what else is PyTorch's own."""
        return isinstance(m, tuple(_LAYERS)) or super().is_leaf_module(m, module_qualified_name)

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


def _trace(model: nn.Module, training: bool) -> tuple[nn.Module, fx.Graph]:
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
    if versions != versions_after or not _identical(objects, objects_after):
        raise UnsupportedError("the model's forward changes attributes or buffers of the model")
    return model, graph


def _contents(model: nn.Module) -> tuple[tuple[object, ...], tuple[int, ...]]:
    """All that a model's modules hold, and how often each buffer was written to."""
    holders = chain.from_iterable((vars(module), module._buffers) for module in model.modules())
    objects = tuple(chain.from_iterable(holder.values() for holder in holders))
    return objects, tuple(buffer._version for buffer in model.buffers())


def _recognise_in_mode(model: nn.Module, shape: tuple[int, int, int], training: bool) -> Recognised:
    """The network of a model in one of its modes."""
    model, graph = _trace(model, training)
    walk = _Walk(shape)
    for node in graph.nodes:
        walk.visit(node, model)
    return walk.recognised()


class _Batch(Enum):
    """The number of images in a batch, which no network may depend on."""

    SIZE = "the batch size"


class _Value:
    """A tensor that the forward computes; ``shape`` is that of one image's share."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def sizes(self) -> tuple[int | _Batch, ...]:
        """The shape of the whole tensor."""
        return (_Batch.SIZE, *self.shape)


@dataclass(frozen=True)
class _Attribute:
    """A parameter, buffer or module that the forward itself reads."""

    name: str


class _Walk:
    """The network as far as the graph has been walked.

    The methods named after operations have their PyTorch signatures, so that arguments are bound
    as PyTorch binds them. They return the shape of one image's share of the result.

    Args:
        shape: (channels, height, width) of an image.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._mean: tuple[float, ...] = ()
        self._std: tuple[float, ...] = ()
        self._convolutions: list[Convolution] = []
        self._dense: list[Dense] = []
        self._parameters: list[nn.Parameter | None] = []
        self._last = _Value(shape)
        self._output: object = None
        self._values: dict[fx.Node, object] = {}

    def recognised(self) -> Recognised:
        """The result, once all nodes have been visited."""
        if not isinstance(self._output, _Value):
            raise UnsupportedError("the model's forward doesn't return one tensor")
        if self._output is not self._last:
            raise UnsupportedError("the model's forward returns another value than its last")
        if not self._dense:
            raise UnsupportedError("the model doesn't end in a linear layer")
        if self._dense[-1].relu:
            raise UnsupportedError("a ReLU follows the last linear layer, whose output is logits")
        network = Network(
            self._shape, self._mean, self._std, tuple(self._convolutions), tuple(self._dense)
        )
        return Recognised(network, tuple(self._parameters))

    def visit(self, node: fx.Node, model: nn.Module) -> None:
        """Take one node of the graph, whose arguments have been visited."""
        value_of: Any = self._values.__getitem__
        args: Any = fx.node.map_arg(node.args, value_of)
        kwargs: Any = fx.node.map_arg(node.kwargs, value_of)
        value: object
        if node.op == "placeholder":
            if self._values:
                raise UnsupportedError("the model's forward takes more than one argument")
            value = self._last
        elif node.op == "output":
            self._output = value = args[0]
        elif node.op == "get_attr":
            value = _Attribute(str(node.target))
        elif node.op == "call_module":
            name = str(node.target)
            module = model.get_submodule(name)
            value = self._computed(_title(name, module), self._layer(name, module), args, kwargs)
        elif node.target in _SIZES:
            value = self._size(node.target, args, kwargs)
        elif node.target in _OPERATIONS:
            name = _operation_name(node.target)
            operation = getattr(self, _OPERATIONS[node.target])
            value = self._computed(f"operation {name}", operation, args, kwargs)
        else:
            value = self._refuse(_operation_name(node.target), args, kwargs)
        self._values[node] = value

    def _computed(
        self,
        name: str,
        operation: Callable[..., tuple[int, ...]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Value:
        """The value that an operation makes of the last one; it then is the last."""
        try:
            bound = signature(operation).bind(*args, **kwargs)
        except TypeError as error:
            raise UnsupportedError(f"{name} has arguments that aren't understood") from error
        given = next(iter(bound.arguments.values()))
        if not isinstance(given, _Value):
            raise UnsupportedError(f"{name} is applied to something else than the layers' output")
        if given is not self._last:
            raise UnsupportedError(
                f"{name} takes a value that isn't that of the layer before it; the fused engine "
                "takes one chain of layers without branches"
            )
        try:
            shape = operation(*args, **kwargs)
        except UnsupportedError as error:
            raise UnsupportedError(f"{name} {error}") from None
        self._last = _Value(shape)
        return self._last

    def _size(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """The result of arithmetic on sizes, such as ``x.shape[0]``."""
        name = _operation_name(target)
        match name, args:
            case "getattr", (_Value() as value, "shape"):
                return value.sizes
            case "getattr", (_Value(), attribute):
                name = f".{attribute}"
            case "size", (_Value() as value,) if not kwargs:
                return value.sizes
            case "size", (_Value() as value, int() as dim) if (
                -len(value.sizes) <= dim < len(value.sizes)
            ):
                return value.sizes[dim]
            case "getitem", (tuple() as sizes, int() as i) if -len(sizes) <= i < len(sizes):
                return sizes[i]
            case "mul", (int() as a, int() as b):
                return a * b
        return self._refuse(name, args, kwargs)

    def _refuse(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Always an UnsupportedError."""
        for argument in chain(args, kwargs.values()):
            if isinstance(argument, _Attribute):
                raise UnsupportedError(
                    f"operation {name} uses {argument.name} directly; the fused engine takes "
                    "layers such as nn.Conv2d and nn.Linear"
                )
        raise UnsupportedError(f"operation {name} is not one that the fused engine takes")

    def _layer(self, name: str, module: nn.Module) -> Callable[..., tuple[int, ...]]:
        """What a layer does to the last value, as a function of a tensor."""
        if type(module) not in _LAYERS:
            for kind in _LAYERS:
                if isinstance(module, kind):
                    raise UnsupportedError(
                        f"{_title(name, module)} is derived from {kind.__name__}; the fused "
                        "engine takes the class itself"
                    )
            raise UnsupportedError(f"{_title(name, module)} is not one that the fused engine takes")
        method = getattr(self, _LAYERS[type(module)])

        def call(input: Any) -> tuple[int, ...]:
            return cast("tuple[int, ...]", method(input, module))

        return call

    # Operations, whose signatures are PyTorch's.

    def relu(self, input: _Value, inplace: bool = False) -> tuple[int, ...]:
        """F.relu and its kin."""
        if self._dense:
            self._dense[-1] = replace(self._dense[-1], relu=True)
        elif self._convolutions:
            # After the layer's pooling or before: the maximum of ReLUs is the ReLU of the maximum.
            self._convolutions[-1] = replace(self._convolutions[-1], relu=True)
        else:
            raise UnsupportedError("comes before the first layer with weights")
        return input.shape

    def max_pool2d(
        self,
        input: _Value,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[int, ...]:
        """F.max_pool2d."""
        if _pair(kernel_size) != (2, 2):
            raise UnsupportedError(f"has kernel size {kernel_size}; the fused engine takes 2")
        # PyTorch takes an empty list for None, its default.
        if stride not in (None, (), []) and _pair(stride) != (2, 2):
            raise UnsupportedError(f"has stride {stride}; the fused engine takes 2")
        if _pair(padding) != (0, 0):
            raise UnsupportedError(f"has padding {padding}; the fused engine takes 0")
        if _pair(dilation) != (1, 1):
            raise UnsupportedError(f"has dilation {dilation}; the fused engine takes 1")
        if ceil_mode or return_indices:
            setting = "ceil_mode" if ceil_mode else "return_indices"
            raise UnsupportedError(f"has {setting}; the fused engine doesn't take it")
        if not self._convolutions:
            raise UnsupportedError("comes before the first convolution")
        if len(input.shape) != 3:
            raise UnsupportedError("follows a flattening")
        if self._convolutions[-1].pool:
            raise UnsupportedError("is the second pooling after one convolution")
        pooled = replace(self._convolutions[-1], pool=True)
        if min(pooled.out_height, pooled.out_width) < 1:
            rows, columns = input.shape[1:]
            raise UnsupportedError(f"has nothing to pool in {rows}x{columns} pixels")
        self._convolutions[-1] = pooled
        return (pooled.out_channels, pooled.out_height, pooled.out_width)

    def flatten(self, input: _Value, start_dim: int = 0, end_dim: int = -1) -> tuple[int, ...]:
        """torch.flatten."""
        last = len(input.shape)
        if start_dim not in (1, -last) or end_dim not in (last, -1):
            raise UnsupportedError(
                f"flattens dimensions {start_dim} to {end_dim}; the fused engine takes 1 to -1"
            )
        return (prod(input.shape),)

    def view(self, input: _Value, *shape: Any) -> tuple[int, ...]:
        """Tensor.view and Tensor.reshape with sizes."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        batch, *rest = sizes if sizes else [None]
        if not all(type(size) is int for size in rest) or not rest:
            raise UnsupportedError("has sizes that aren't understood")
        if batch is _Batch.SIZE and rest.count(-1) == 1:
            rest[rest.index(-1)] = prod(input.shape) // max(1, -prod(rest))
        wanted = tuple(rest)
        if batch not in (_Batch.SIZE, -1):
            raise UnsupportedError(f"fixes the batch size to {batch}")
        if wanted not in (input.shape, (prod(input.shape),)):
            raise UnsupportedError(
                f"gives each image the shape {wanted}; the fused engine takes a flattening to "
                f"{prod(input.shape)}"
            )
        return wanted

    def reshape(self, input: _Value, shape: Any) -> tuple[int, ...]:
        """torch.reshape."""
        return self.view(input, shape)

    # Layers.

    def _identity_layer(self, input: _Value, layer: nn.Module) -> tuple[int, ...]:
        return input.shape

    def _relu_layer(self, input: _Value, layer: nn.ReLU) -> tuple[int, ...]:
        return self.relu(input)

    def _dropout_layer(self, input: _Value, layer: nn.Dropout) -> tuple[int, ...]:
        if layer.p != 0:
            raise UnsupportedError(f"has p={layer.p}; the fused engine takes p=0")
        return input.shape

    def _max_pool_layer(self, input: _Value, layer: nn.MaxPool2d) -> tuple[int, ...]:
        return self.max_pool2d(
            input,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.ceil_mode,
            layer.return_indices,
        )

    def _flatten_layer(self, input: _Value, layer: nn.Flatten) -> tuple[int, ...]:
        return self.flatten(input, layer.start_dim, layer.end_dim)

    def _normalize_layer(self, input: _Value, layer: Normalize) -> tuple[int, ...]:
        if self._convolutions or self._dense or self._mean or len(input.shape) != 3:
            raise UnsupportedError("is not the first layer")
        channels = input.shape[0]
        for name, buffer in (("mean", layer.mean), ("std", layer.std)):
            if buffer.dtype is not torch.float32 and (
                buffer.is_floating_point() or buffer.is_complex()
            ):
                raise UnsupportedError(f"has a {name} of {_short(buffer.dtype)}, not float32")
            if not buffer.is_cpu:
                raise UnsupportedError(f"has its {name} on {buffer.device}, not on the CPU")
            if buffer.shape not in ((1, 1, 1, 1), (1, channels, 1, 1)):
                raise UnsupportedError(
                    f"has a {name} of shape {tuple(buffer.shape)} for images of {channels} channels"
                )
        self._mean, self._std = (
            tuple(map(float, buffer.expand(1, channels, 1, 1).flatten().tolist()))
            for buffer in (layer.mean, layer.std)
        )
        return input.shape

    def _conv_layer(self, input: _Value, layer: nn.Conv2d) -> tuple[int, ...]:
        if len(input.shape) != 3:
            raise UnsupportedError("follows a flattening or a linear layer")
        for name, wanted in (("stride", 1), ("dilation", 1), ("groups", 1)):
            value = getattr(layer, name)
            if _pair(value) != (wanted, wanted):
                raise UnsupportedError(f"has {name} {value}; the fused engine takes {name} 1")
        if layer.padding_mode != "zeros":
            raise UnsupportedError(
                f"has padding mode {layer.padding_mode!r}; the fused engine takes 'zeros'"
            )
        channels, height, width = input.shape
        kernel = layer.kernel_size[0]
        if tuple(layer.kernel_size) != (kernel, kernel):
            raise UnsupportedError(
                f"has a kernel of size {layer.kernel_size}; the fused engine takes square ones"
            )
        padding = _padding(layer.padding, kernel)
        self._take_parameters(layer, (layer.out_channels, layer.in_channels, kernel, kernel))
        if layer.in_channels != channels:
            raise UnsupportedError(f"takes {layer.in_channels} channels and is given {channels}")
        convolution = Convolution(
            channels, height, width, layer.out_channels, kernel, padding, relu=False, pool=False
        )
        if min(convolution.conv_height, convolution.conv_width) < 1:
            raise UnsupportedError(f"has a kernel too large for {height}x{width} pixels")
        self._convolutions.append(convolution)
        return (convolution.out_channels, convolution.out_height, convolution.out_width)

    def _linear_layer(self, input: _Value, layer: nn.Linear) -> tuple[int, ...]:
        if len(input.shape) != 1:
            raise UnsupportedError(f"is given images of shape {input.shape}, not flattened")
        self._take_parameters(layer, (layer.out_features, layer.in_features))
        if (layer.in_features,) != input.shape:
            raise UnsupportedError(
                f"takes {layer.in_features} inputs and is given {input.shape[0]}"
            )
        self._dense.append(Dense(layer.in_features, layer.out_features, relu=False))
        return (layer.out_features,)

    def _take_parameters(self, layer: nn.Conv2d | nn.Linear, shape: tuple[int, ...]) -> None:
        """Append a layer's weight and bias."""
        weight, bias = cast("tuple[object, object]", (layer.weight, layer.bias))
        for name, value, wanted in (("weight", weight, shape), ("bias", bias, shape[:1])):
            if value is None and name == "bias":
                self._parameters.append(None)
                continue
            if not isinstance(value, nn.Parameter):
                raise UnsupportedError(f"has a {name} that is not a parameter")
            if value.shape != wanted or not value.numel():
                raise UnsupportedError(f"has a {name} of shape {tuple(value.shape)}, not {wanted}")
            if any(value is other for other in self._parameters):
                raise UnsupportedError(f"shares its {name} with another layer, or is used twice")
            self._parameters.append(value)


#: How each layer acts on a `_Walk`; no class derived from these is taken.
_LAYERS: Mapping[type[nn.Module], str] = MappingProxyType(
    {
        nn.Conv2d: "_conv_layer",
        nn.Linear: "_linear_layer",
        nn.ReLU: "_relu_layer",
        nn.MaxPool2d: "_max_pool_layer",
        nn.Flatten: "_flatten_layer",
        nn.Identity: "_identity_layer",
        nn.Dropout: "_dropout_layer",
        Normalize: "_normalize_layer",
    }
)

#: How each function, or method of a tensor, acts on a `_Walk`.
_OPERATIONS: Mapping[Any, str] = MappingProxyType(
    {
        F.relu: "relu",
        torch.relu: "relu",
        torch.relu_: "relu",
        "relu": "relu",
        "relu_": "relu",
        F.max_pool2d: "max_pool2d",
        torch.max_pool2d: "max_pool2d",
        torch.flatten: "flatten",
        "flatten": "flatten",
        torch.reshape: "reshape",
        "reshape": "view",
        "view": "view",
    }
)

#: What computes sizes of tensors.
_SIZES = frozenset((builtins.getattr, "size", operator.getitem, operator.mul))


def _pair(value: object) -> tuple[object, ...]:
    """A number as the pair of itself, as PyTorch's functions take it."""
    if isinstance(value, (tuple, list)):
        return (*value, *value) if len(value) == 1 else tuple(value)
    return (value, value)


def _padding(padding: object, kernel: int) -> int:
    """A convolution's zero pixels on each side."""
    if padding == "same" and kernel % 2 == 0:
        raise UnsupportedError(
            f"has padding 'same' and a kernel of size {kernel}; the fused engine takes odd ones"
        )
    side = {"same": kernel // 2, "valid": 0}.get(padding) if isinstance(padding, str) else None
    if side is None:
        side, other = cast("tuple[int, int]", _pair(padding))
        if side != other:
            raise UnsupportedError(
                f"has padding {padding}; the fused engine takes the same on all sides"
            )
    if not 0 <= side < kernel:
        raise UnsupportedError(
            f"has padding {side}; the fused engine takes less than the kernel's size, {kernel}"
        )
    return side


def _identical(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    """Whether two tuples hold the same objects."""
    return len(first) == len(second) and all(map(operator.is_, first, second))


def _title(name: str, module: nn.Module) -> str:
    """A module in a message."""
    kind = type(module).__name__
    if type(module) not in _LAYERS and any(kind == known.__name__ for known in _LAYERS):
        kind = f"{type(module).__module__}.{kind}"  # a quantized Linear, say
    return f"layer {name} ({kind})" if name else f"the model ({kind})"


def _operation_name(target: Any) -> str:
    """A graph node's operation in a message."""
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def _short(dtype: torch.dtype) -> str:
    """A dtype's name without ``torch.``."""
    return str(dtype).removeprefix("torch.")
