"""Functions and methods of tensors, each as what it does to the chain.

After the chain and its last value they have their PyTorch signatures, so that arguments are bound
as PyTorch binds them. They return the shape of one image's share of the result.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.fused.network import (
    Addition,
    Affine,
    AnyConvolution,
    Convolution,
    Curve,
    Padding,
    Pooling,
)
from sparring.fused.recognition.chain import Chain, Link, Shape
from sparring.fused.recognition.unsupported import UnsupportedError
from sparring.fused.recognition.values import BatchSize, Storage, Value


def relu(chain: Chain, input: Value, inplace: bool = False) -> Shape:
    """F.relu and its kin."""
    chain.check_waiting()
    if chain.dense:
        if chain.dense[-1].curve:
            raise UnsupportedError("is the second activation after one linear layer")
        chain.dense[-1] = replace(chain.dense[-1], relu=True)
        return input.shape
    # After poolings or before: the maximum of ReLUs is the ReLU of the maximum.
    place = input
    while isinstance(layer := chain.own(place), Pooling) and not layer.mean:
        place = Value(place.shape, Storage(chain.sources[place.layer][0]))
    if isinstance(layer, Convolution | AnyConvolution | Addition | Affine):
        chain.front[place.layer] = replace(layer, relu=True)
    else:
        chain.activate(Curve("Relu"), input)
    return input.shape


def leaky_relu(
    chain: Chain, input: Value, negative_slope: float = 0.01, inplace: bool = False
) -> Shape:
    """F.leaky_relu."""
    return _activate(chain, input, Curve("LeakyRelu", float(negative_slope)))


def tanh(chain: Chain, input: Value) -> Shape:
    """torch.tanh."""
    return _activate(chain, input, Curve("Tanh"))


def sigmoid(chain: Chain, input: Value) -> Shape:
    """torch.sigmoid."""
    return _activate(chain, input, Curve("Sigmoid"))


def elu(chain: Chain, input: Value, alpha: float = 1.0, inplace: bool = False) -> Shape:
    """F.elu."""
    return _activate(chain, input, Curve("Elu", float(alpha)))


def gelu(chain: Chain, input: Value, approximate: str = "none") -> Shape:
    """F.gelu."""
    return _activate(chain, input, Curve("TanhGelu" if approximate == "tanh" else "Gelu"))


def silu(chain: Chain, input: Value, inplace: bool = False) -> Shape:
    """F.silu."""
    return _activate(chain, input, Curve("Silu"))


def softplus(chain: Chain, input: Value, beta: float = 1.0, threshold: float = 20.0) -> Shape:
    """F.softplus, whose curve is a straight line beyond the threshold."""
    if threshold < 16:
        raise UnsupportedError(f"has threshold {threshold}; the fused engine takes 16 or more")
    return _activate(chain, input, Curve("Softplus", float(beta)))


def _activate(chain: Chain, input: Value, curve: Curve) -> Shape:
    """An activation other than ReLU."""
    if curve.parameter is not None and not 1e-6 < curve.parameter < 1e6:
        raise UnsupportedError(
            f"has the parameter {curve.parameter}; the fused engine takes 1e-6 to 1e6"
        )
    chain.activate(curve, input)
    return input.shape


def max_pool2d(
    chain: Chain,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Shape:
    """F.max_pool2d."""
    if pair(dilation) != (1, 1):
        raise UnsupportedError(f"has dilation {dilation}; the fused engine takes 1")
    if return_indices:
        raise UnsupportedError("has return_indices; the fused engine doesn't take it")
    pooling = _pooling(False, input, kernel_size, stride, padding, ceil_mode)
    last = chain.own(input)
    # The commonest is done together with the convolution before it.
    halves = pooling.kernel == pooling.stride == (2, 2) and pooling.padding == (0, 0)
    # (`ceil_mode` is as good as none where no row or column is left over.)
    size = (pooling.out_height, pooling.out_width)
    halves &= size == (input.shape[1] // 2, input.shape[2] // 2)
    if halves and isinstance(last, Convolution | AnyConvolution) and not last.pool:
        chain.front[input.layer] = last = replace(last, pool=True)
        return (last.out_channels, last.out_height, last.out_width)
    return chain.append(pooling, input)


def avg_pool2d(
    chain: Chain,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Shape:
    """F.avg_pool2d."""
    if divisor_override is not None:
        raise UnsupportedError("has divisor_override; the fused engine doesn't take it")
    pooling = _pooling(True, input, kernel_size, stride, padding, ceil_mode)
    return chain.append(replace(pooling, padding_counts=count_include_pad), input)


def adaptive_avg_pool2d(chain: Chain, input: Value, output_size: Any) -> Shape:
    """F.adaptive_avg_pool2d."""
    _check_images(input)
    size = input.shape[1:]
    rows, columns = pair(output_size)
    wanted = (size[0] if rows is None else rows, size[1] if columns is None else columns)
    if min(wanted) < 1 or size[0] % wanted[0] or size[1] % wanted[1]:
        raise UnsupportedError(
            f"makes {wanted[0]}x{wanted[1]} pixels of {size[0]}x{size[1]}; the fused engine takes "
            "windows of equal size"
        )
    if wanted == size:
        return input.shape
    window = (size[0] // wanted[0], size[1] // wanted[1])
    return chain.append(_pooling(True, input, window, None, 0, False), input)


def mean(chain: Chain, input: Value, dim: Any, keepdim: bool = False) -> Shape:
    """torch.mean of all pixels, as global average pooling is written without a layer."""
    _check_images(input)
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    if not all(type(d) is int for d in dims) or sorted(d % 4 for d in dims) != [2, 3]:
        raise UnsupportedError(f"is over dimensions {dim}; the fused engine takes (2, 3)")
    shape = chain.append(_pooling(True, input, input.shape[1:], None, 0, False), input)
    return shape if keepdim else shape[:1]


def index(chain: Chain, input: Value, place: Any) -> Shape:
    """``x[:, :, ::2, ::2]``: pooling by windows of one pixel."""
    whole = slice(None)
    given = place if isinstance(place, tuple) else (place,)
    steps = [s.step or 1 for s in given if isinstance(s, slice) and s in (whole, _every(s.step))]
    if len(input.shape) != 3 or len(steps) != len(given) or len(given) > 4 or steps[:2] != [1, 1]:
        raise UnsupportedError(
            "takes part of a value, as x[:, 0] does; the fused engine takes steps over rows and "
            "columns alone, as in x[:, :, ::2, ::2]"
        )
    strides = [*steps[2:], 1, 1][:2]
    if any(type(step) is not int or step < 1 for step in strides):
        raise UnsupportedError("has steps that aren't understood")
    return chain.append(_pooling(True, input, 1, tuple(strides), 0, False), input)


def _every(step: object) -> slice:
    return slice(None, None, step)


def pad(
    chain: Chain, input: Value, pad: Any, mode: str = "constant", value: float | None = None
) -> Shape:
    """F.pad with zeros."""
    _check_images(input)
    if mode != "constant" or value not in (None, 0):
        raise UnsupportedError(f"has mode {mode!r} and value {value}; the fused engine takes zeros")
    sides = (*pad, 0, 0, 0, 0, 0, 0)[:6] if isinstance(pad, (tuple, list)) else ()
    if len(sides) != 6 or len(pad) > 6 or any(type(side) is not int or side < 0 for side in sides):
        raise UnsupportedError(
            f"has padding {pad}; the fused engine takes 0 or more, of columns, rows and channels"
        )
    left, right, top, bottom, before, after = sides
    if not any(sides):
        return input.shape
    channels, rows, columns = input.shape
    padding = Padding(channels, rows, columns, top, bottom, left, right, before, after)
    return chain.append(padding, input)


def add(chain: Chain, input: Value, other: Any, alpha: float = 1) -> Shape:
    """The sum of two values: where a branch ends."""
    if not isinstance(other, Value):
        raise UnsupportedError("adds what is not another layer's output")
    if alpha != 1:
        raise UnsupportedError(f"has alpha {alpha}; the fused engine takes 1")
    if len(input.shape) != 3 or input.shape != other.shape:
        raise UnsupportedError(
            f"adds {other.shape} to {input.shape}; the fused engine takes images of one shape"
        )
    if input.layer == other.layer:
        raise UnsupportedError("adds a value to itself")
    channels, rows, columns = input.shape
    return chain.append(Addition(channels, rows, columns), input, other)


def _pooling(
    mean: bool, input: Value, kernel: Any, stride: Any, padding: Any, ceil_mode: bool
) -> Pooling:
    """A pooling of images, whose arguments are as PyTorch takes them."""
    _check_images(input)
    # PyTorch takes an empty list for None, its default.
    given = (kernel, kernel if stride in (None, (), []) else stride, padding)
    window, step, side = (pair(value) for value in given)
    sizes = (*window, *step, *side)
    if len(sizes) != 6 or any(type(size) is not int for size in sizes):
        raise UnsupportedError("has sizes that aren't understood")
    channels, rows, columns = input.shape
    pooling = Pooling(mean, channels, rows, columns, window, step, side, ceil=bool(ceil_mode))
    if min(pooling.out_height, pooling.out_width) < 1:
        raise UnsupportedError(f"has nothing to pool in {rows}x{columns} pixels")
    if 2 * side[0] > window[0] or 2 * side[1] > window[1]:
        raise UnsupportedError(f"has padding {padding}, more than half its window")
    return pooling


def _check_images(input: Value) -> None:
    if len(input.shape) != 3:
        raise UnsupportedError("follows a flattening")


def dropout(
    chain: Chain, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Shape:
    """F.dropout and its kin."""
    if training and p != 0:
        raise UnsupportedError(f"is active, with p={p}")
    return input.shape


def alpha_dropout(
    chain: Chain, input: Value, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Shape:
    """F.alpha_dropout and F.feature_alpha_dropout."""
    return dropout(chain, input, p, training, inplace)


def flatten(chain: Chain, input: Value, start_dim: int = 0, end_dim: int = -1) -> Shape:
    """torch.flatten."""
    last = len(input.shape)
    if start_dim not in (1, -last) or end_dim not in (last, -1):
        raise UnsupportedError(
            f"flattens dimensions {start_dim} to {end_dim}; the fused engine takes 1 to -1"
        )
    return (prod(input.shape),)


def view(chain: Chain, input: Value, *shape: Any) -> Shape:
    """Tensor.view and Tensor.reshape with sizes."""
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    batch, *rest = sizes if sizes else [None]
    if not all(type(size) is int for size in rest) or not rest:
        raise UnsupportedError("has sizes that aren't understood")
    if batch is BatchSize.ANY and rest.count(-1) == 1:
        rest[rest.index(-1)] = prod(input.shape) // max(1, -prod(rest))
    wanted = tuple(rest)
    if batch not in (BatchSize.ANY, -1):
        raise UnsupportedError(f"fixes the batch size to {batch}")
    if wanted not in (input.shape, (prod(input.shape),)):
        raise UnsupportedError(
            f"gives each image the shape {wanted}; the fused engine takes a flattening to "
            f"{prod(input.shape)}"
        )
    return wanted


def reshape(chain: Chain, input: Value, shape: Any) -> Shape:
    """torch.reshape."""
    return view(chain, input, shape)


#: How each function, or method of a tensor, acts on a `Chain`.
OPERATIONS: Mapping[Any, Link] = MappingProxyType(
    {
        F.relu: relu,
        torch.relu: relu,
        torch.relu_: relu,
        "relu": relu,
        "relu_": relu,
        F.leaky_relu: leaky_relu,
        torch.tanh: tanh,
        F.tanh: tanh,
        "tanh": tanh,
        torch.sigmoid: sigmoid,
        F.sigmoid: sigmoid,
        "sigmoid": sigmoid,
        F.elu: elu,
        F.gelu: gelu,
        F.silu: silu,
        F.softplus: softplus,
        F.max_pool2d: max_pool2d,
        torch.max_pool2d: max_pool2d,
        F.avg_pool2d: avg_pool2d,
        F.adaptive_avg_pool2d: adaptive_avg_pool2d,
        F.dropout: dropout,
        F.dropout2d: dropout,
        F.dropout3d: dropout,
        F.alpha_dropout: alpha_dropout,
        F.feature_alpha_dropout: alpha_dropout,
        torch.mean: mean,
        "mean": mean,
        F.pad: pad,
        operator.add: add,
        operator.iadd: add,
        torch.add: add,
        "add": add,
        "add_": add,
        torch.flatten: flatten,
        "flatten": flatten,
        torch.reshape: reshape,
        "reshape": view,
        "view": view,
    }
)

#: Those that write their result where their first argument stood.
IN_PLACE = frozenset((torch.relu_, "relu_", operator.iadd, "add_"))


def pair(value: Any) -> tuple[Any, ...]:
    """A number as the pair of itself, as PyTorch's functions take it."""
    if isinstance(value, (tuple, list)):
        return (*value, *value) if len(value) == 1 else tuple(value)
    return (value, value)
