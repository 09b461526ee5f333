"""PyTorch's layers, each as what it does to the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import torch
from torch import nn

from sparring.fused.folding import BatchNorm, problem_of
from sparring.fused.network import IMAGE, Affine, AnyConvolution, Convolution, Dense
from sparring.fused.recognition import operations
from sparring.fused.recognition.chain import Chain, Link, Shape
from sparring.fused.recognition.operations import pair
from sparring.fused.recognition.unsupported import UnsupportedError, short
from sparring.fused.recognition.values import Value
from sparring.networks import Normalize


def _identity(chain: Chain, input: Value, layer: nn.Module) -> Shape:
    return input.shape


def _as(operation: Callable[..., Shape], *settings: str) -> Link:
    """What a layer does as what a function does, with these of the layer's settings."""

    def link(chain: Chain, input: Value, layer: nn.Module) -> Shape:
        return operation(chain, input, *(getattr(layer, name) for name in settings))

    return link


def _batch_norm(chain: Chain, input: Value, layer: BatchNorm) -> Shape:
    if layer.training:
        raise UnsupportedError("normalises by the minibatch in train mode")
    problem = problem_of(layer)
    if problem:
        raise UnsupportedError(problem)
    images = isinstance(layer, nn.BatchNorm2d)
    if len(input.shape) != (3 if images else 1) or layer.num_features != input.shape[0]:
        raise UnsupportedError(f"has {layer.num_features} features and is given {input.shape}")
    if chain.takes_norm(input):
        chain.norms[input.layer] = layer
        return input.shape
    if not images:
        chain.check_waiting()
        if input.layer in chain.shared or input.layer != chain.last:
            raise UnsupportedError("is given a value that other layers take, too")
        chain.waiting = layer
        return input.shape
    channels, rows, columns = input.shape
    shape = chain.append(Affine(channels, rows, columns), input)
    chain.norms[-1] = layer
    return shape


def _normalize(chain: Chain, input: Value, layer: Normalize) -> Shape:
    if input.layer != IMAGE or IMAGE in chain.shared or chain.mean or len(input.shape) != 3:
        raise UnsupportedError("is not the first layer")
    channels = input.shape[0]
    for name, buffer in (("mean", layer.mean), ("std", layer.std)):
        if buffer.dtype is not torch.float32 and (
            buffer.is_floating_point() or buffer.is_complex()
        ):
            raise UnsupportedError(f"has a {name} of {short(buffer.dtype)}, not float32")
        if not buffer.is_cpu:
            raise UnsupportedError(f"has its {name} on {buffer.device}, not on the CPU")
        if buffer.shape not in ((1, 1, 1, 1), (1, channels, 1, 1)):
            raise UnsupportedError(
                f"has a {name} of shape {tuple(buffer.shape)} for images of {channels} channels"
            )
    chain.mean, chain.std = (
        tuple(map(float, buffer.expand(1, channels, 1, 1).flatten().tolist()))
        for buffer in (layer.mean, layer.std)
    )
    return input.shape


def _conv(chain: Chain, input: Value, layer: nn.Conv2d) -> Shape:
    if len(input.shape) != 3:
        raise UnsupportedError("follows a flattening or a linear layer")
    if layer.padding_mode != "zeros":
        raise UnsupportedError(
            f"has padding mode {layer.padding_mode!r}; the fused engine takes 'zeros'"
        )
    channels, height, width = input.shape
    kernel, stride, dilation = (
        cast("tuple[int, int]", pair(sizes))
        for sizes in (layer.kernel_size, layer.stride, layer.dilation)
    )
    padding = _padding(layer.padding, kernel, dilation)
    if layer.in_channels % layer.groups or layer.out_channels % layer.groups:
        raise UnsupportedError(f"has {layer.groups} groups that do not divide its channels")
    chain.take_parameters(layer, (layer.out_channels, layer.in_channels // layer.groups, *kernel))
    if layer.in_channels != channels:
        raise UnsupportedError(f"takes {layer.in_channels} channels and is given {channels}")
    convolution = AnyConvolution(
        channels, height, width, layer.out_channels, kernel, stride, padding, dilation, layer.groups
    )
    if min(convolution.conv_height, convolution.conv_width) < 1:
        raise UnsupportedError(f"has a kernel too large for {height}x{width} pixels")
    chain.link(_plain(convolution), input)
    return (convolution.out_channels, convolution.out_height, convolution.out_width)


def _plain(conv: AnyConvolution) -> Convolution | AnyConvolution:
    """The commonest convolutions are described by less, and computed by kernels of their own."""
    side, stride, padding = conv.kernel[0], conv.stride[0], conv.padding[0]
    square = conv.kernel == (side, side) and conv.stride == (stride, stride)
    square &= conv.padding == (padding, padding) and padding < side
    if not square or conv.dilation != (1, 1) or conv.groups > 1:
        return conv
    return Convolution(
        conv.in_channels, conv.height, conv.width, conv.out_channels, side, padding, relu=False,
        pool=False, stride=stride,
    )  # fmt: skip


def _linear(chain: Chain, input: Value, layer: nn.Linear) -> Shape:
    if len(input.shape) != 1:
        raise UnsupportedError(f"is given images of shape {input.shape}, not flattened")
    chain.take_parameters(layer, (layer.out_features, layer.in_features))
    if not chain.dense and input.layer != chain.last:
        raise UnsupportedError("takes a value that isn't that of the layer before it")
    if (layer.in_features,) != input.shape:
        raise UnsupportedError(f"takes {layer.in_features} inputs and is given {input.shape[0]}")
    chain.dense.append(Dense(layer.in_features, layer.out_features, relu=False))
    return (layer.out_features,)


def _padding(
    padding: object, kernel: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int]:
    """A convolution's zero rows and columns on each side."""
    if padding == "valid":
        return (0, 0)
    if padding != "same":
        rows, columns = cast("tuple[int, int]", pair(padding))
        return (rows, columns)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(size % 2 for size in reach):
        raise UnsupportedError(
            f"has padding 'same' and a kernel of size {kernel}, which is not the same on all sides"
        )
    return (reach[0] // 2, reach[1] // 2)


#: How each layer acts on a `Chain`; no class derived from these is taken.
LAYERS: Mapping[type[nn.Module], Link] = MappingProxyType(
    {
        nn.Conv2d: _conv,
        nn.Linear: _linear,
        nn.ReLU: _as(operations.relu),
        nn.LeakyReLU: _as(operations.leaky_relu, "negative_slope"),
        nn.Tanh: _as(operations.tanh),
        nn.Sigmoid: _as(operations.sigmoid),
        nn.ELU: _as(operations.elu, "alpha"),
        nn.GELU: _as(operations.gelu, "approximate"),
        nn.SiLU: _as(operations.silu),
        nn.Softplus: _as(operations.softplus, "beta", "threshold"),
        nn.MaxPool2d: _as(
            operations.max_pool2d, "kernel_size", "stride", "padding", "dilation", "ceil_mode",
            "return_indices",
        ),
        nn.AvgPool2d: _as(
            operations.avg_pool2d, "kernel_size", "stride", "padding", "ceil_mode",
            "count_include_pad", "divisor_override",
        ),
        nn.AdaptiveAvgPool2d: _as(operations.adaptive_avg_pool2d, "output_size"),
        nn.ZeroPad2d: _as(operations.pad, "padding"),
        nn.Flatten: _as(operations.flatten, "start_dim", "end_dim"),
        nn.Identity: _identity,
        **dict.fromkeys(
            (nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
            _as(operations.dropout, "p", "training"),
        ),
        nn.BatchNorm1d: _batch_norm,
        nn.BatchNorm2d: _batch_norm,
        Normalize: _normalize,
    }
)  # fmt: skip


def title(name: str, module: nn.Module) -> str:
    """A module in a message."""
    kind = type(module).__name__
    if type(module) not in LAYERS and any(kind == known.__name__ for known in LAYERS):
        kind = f"{type(module).__module__}.{kind}"  # a quantized Linear, say
    return f"layer {name} ({kind})" if name else f"the model ({kind})"
