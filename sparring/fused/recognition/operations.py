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

from sparring.fused.recognition.chain import Chain, Link, Shape
from sparring.fused.recognition.unsupported import UnsupportedError
from sparring.fused.recognition.values import BatchSize, Value


def relu(chain: Chain, input: Value, inplace: bool = False) -> Shape:
    """F.relu and its kin."""
    if chain.dense:
        chain.dense[-1] = replace(chain.dense[-1], relu=True)
    elif chain.convolutions:
        # After the layer's pooling or before: the maximum of ReLUs is the ReLU of the maximum.
        chain.convolutions[-1] = replace(chain.convolutions[-1], relu=True)
    else:
        raise UnsupportedError("comes before the first layer with weights")
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
    if pair(kernel_size) != (2, 2):
        raise UnsupportedError(f"has kernel size {kernel_size}; the fused engine takes 2")
    # PyTorch takes an empty list for None, its default.
    if stride not in (None, (), []) and pair(stride) != (2, 2):
        raise UnsupportedError(f"has stride {stride}; the fused engine takes 2")
    if pair(padding) != (0, 0):
        raise UnsupportedError(f"has padding {padding}; the fused engine takes 0")
    if pair(dilation) != (1, 1):
        raise UnsupportedError(f"has dilation {dilation}; the fused engine takes 1")
    if ceil_mode or return_indices:
        setting = "ceil_mode" if ceil_mode else "return_indices"
        raise UnsupportedError(f"has {setting}; the fused engine doesn't take it")
    if not chain.convolutions:
        raise UnsupportedError("comes before the first convolution")
    if len(input.shape) != 3:
        raise UnsupportedError("follows a flattening")
    if chain.convolutions[-1].pool:
        raise UnsupportedError("is the second pooling after one convolution")
    pooled = replace(chain.convolutions[-1], pool=True)
    if min(pooled.out_height, pooled.out_width) < 1:
        rows, columns = input.shape[1:]
        raise UnsupportedError(f"has nothing to pool in {rows}x{columns} pixels")
    chain.convolutions[-1] = pooled
    return (pooled.out_channels, pooled.out_height, pooled.out_width)


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
        F.max_pool2d: max_pool2d,
        torch.max_pool2d: max_pool2d,
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


def pair(value: object) -> tuple[object, ...]:
    """A number as the pair of itself, as PyTorch's functions take it."""
    if isinstance(value, (tuple, list)):
        return (*value, *value) if len(value) == 1 else tuple(value)
    return (value, value)
