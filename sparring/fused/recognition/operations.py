"""Functions and methods of tensors, each as what it does to the chain.

After the chain and its last value they have their PyTorch signatures, so that arguments are bound
as PyTorch binds them. They return the shape of one image's share of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.fused.network import Activation, Convolution, Curve, Pooling
from sparring.fused.recognition.chain import Chain, Link, Shape
from sparring.fused.recognition.unsupported import UnsupportedError
from sparring.fused.recognition.values import BatchSize, Value


def relu(chain: Chain, input: Value, inplace: bool = False) -> Shape:
    """F.relu and its kin."""
    if chain.dense:
        if chain.dense[-1].curve:
            raise UnsupportedError("is the second activation after one linear layer")
        chain.dense[-1] = replace(chain.dense[-1], relu=True)
        return input.shape
    # After poolings or before: the maximum of ReLUs is the ReLU of the maximum.
    for number, layer in reversed([*enumerate(chain.front)]):
        if isinstance(layer, Convolution):
            chain.front[number] = replace(layer, relu=True)
            return input.shape
        if isinstance(layer, Activation) or layer.mean:
            break
    chain.activate(Curve("Relu"))
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
        raise UnsupportedError(f"has the parameter {curve.parameter}")
    chain.activate(curve)
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
    last = chain.front[-1] if chain.front else None
    # The commonest is done together with the convolution before it.
    halves = pooling.kernel == pooling.stride == (2, 2) and pooling.padding == (0, 0)
    if halves and isinstance(last, Convolution) and not last.pool:
        chain.front[-1] = last = replace(last, pool=True)
        return (last.out_channels, last.out_height, last.out_width)
    return chain.append(pooling)


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
    return chain.append(replace(pooling, padding_counts=count_include_pad))


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
    return chain.append(_pooling(True, input, window, None, 0, False))


def _pooling(
    mean: bool, input: Value, kernel: Any, stride: Any, padding: Any, ceil_mode: bool
) -> Pooling:
    """A pooling of images, whose arguments are as PyTorch takes them."""
    _check_images(input)
    if ceil_mode:
        raise UnsupportedError("has ceil_mode; the fused engine doesn't take it")
    # PyTorch takes an empty list for None, its default.
    given = (kernel, kernel if stride in (None, (), []) else stride, padding)
    window, step, side = (pair(value) for value in given)
    sizes = (*window, *step, *side)
    if len(sizes) != 6 or any(type(size) is not int for size in sizes):
        raise UnsupportedError("has sizes that aren't understood")
    channels, rows, columns = input.shape
    pooling = Pooling(mean, channels, rows, columns, window, step, side)
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
        torch.flatten: flatten,
        "flatten": flatten,
        torch.reshape: reshape,
        "reshape": view,
        "view": view,
    }
)


def pair(value: Any) -> tuple[Any, ...]:
    """A number as the pair of itself, as PyTorch's functions take it."""
    if isinstance(value, (tuple, list)):
        return (*value, *value) if len(value) == 1 else tuple(value)
    return (value, value)
