"""What recognition finds, computed by PyTorch from the description alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.fused.network import (
    IMAGE,
    Activation,
    Addition,
    Affine,
    AnyConvolution,
    Padding,
    Pooling,
)
from sparring.fused.recognise import Recognised, UnsupportedError, recognise

SHAPE = (2, 8, 8)


def curved(curve, x):
    """An activation, by its name in the kernels."""
    functions = {
        "Relu": torch.relu, "LeakyRelu": F.leaky_relu, "Tanh": torch.tanh,
        "Sigmoid": torch.sigmoid, "Elu": F.elu, "Silu": F.silu, "Softplus": F.softplus,
        "Gelu": F.gelu, "TanhGelu": lambda x: F.gelu(x, approximate="tanh"),
    }  # fmt: skip
    return functions[curve.name](x, *([] if curve.parameter is None else [curve.parameter]))


def link(layer, weight, bias, x, *others):
    """What a layer of the front makes of the values that it takes."""
    shape = (layer.out_channels, layer.out_height, layer.out_width)
    if isinstance(layer, Pooling):
        assert x.shape[1:] == (layer.channels, layer.height, layer.width)
        assert weight is bias is None
        x = (
            F.avg_pool2d(
                x, layer.kernel, layer.stride, layer.padding,
                layer.ceil, layer.padding_counts,
            )
            if layer.mean
            else F.max_pool2d(x, layer.kernel, layer.stride, layer.padding, ceil_mode=layer.ceil)
        )  # fmt: skip
    elif isinstance(layer, Padding):
        sides = (layer.left, layer.right, layer.top, layer.bottom, layer.before, layer.after)
        x = F.pad(x, sides)
    elif isinstance(layer, Activation):
        assert weight is bias is None
        x = curved(layer.curve, x)
    elif isinstance(layer, Addition | Affine):
        x = x + others[0] if others else weight.view(-1, 1, 1) * x + bias.view(-1, 1, 1)
        x = torch.relu(x) if layer.relu else x
    else:
        assert x.shape[1:] == (layer.in_channels, layer.height, layer.width)
        assert weight.numel() == layer.weights
        others = (layer.dilation, layer.groups) if isinstance(layer, AnyConvolution) else ()
        x = F.conv2d(x, weight, bias, layer.stride, layer.padding, *others)
        assert x.shape[1:] == (layer.out_channels, layer.conv_height, layer.conv_width)
        x = torch.relu(x) if layer.relu else x
        x = F.max_pool2d(x, 2) if layer.pool else x
    assert x.shape[1:] == shape
    return x


def compute(recognised: Recognised, x: torch.Tensor) -> torch.Tensor:
    """What the fused engine is to compute, from the description alone."""
    network, parameters = recognised.network, iter(recognised.parameters)
    channels = network.shape[0]
    if network.mean:
        mean, std = torch.tensor(network.mean), torch.tensor(network.std)
        x = (x - mean.reshape(channels, 1, 1)) / std.reshape(channels, 1, 1)
    folding = recognised.folding()
    folding.look()
    if any(recognised.norms + recognised.norms_before):
        parameters = iter(folding.tensors)
    values = {IMAGE: x}
    for number, (layer, sources) in enumerate(zip(network.front, network.taken(), strict=True)):
        weight, bias = next(parameters), next(parameters)
        values[number] = link(layer, weight, bias, *(values[source] for source in sources))
    x = values[len(network.front) - 1]
    x = x.flatten(1)
    for layer in network.dense:
        assert x.shape[1] == layer.inputs
        weight, bias = next(parameters), next(parameters)
        x = x @ weight.T + (0 if bias is None else bias)
        assert x.shape[1] == layer.outputs
        x = torch.relu(x) if layer.relu else x
        x = x if layer.curve is None else curved(layer.curve, x)
    assert next(parameters, "end") == "end"
    assert x.shape[1] == network.classes
    return x


def check(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> Recognised:
    """Recognise a model, and see that it computes what was recognised."""
    recognised = recognise(model, shape)
    x = torch.rand((3, *shape), generator=torch.Generator().manual_seed(1)) * 2 - 1
    for mode in (False,) if recognised.only_attacks else (True, False):
        torch.testing.assert_close(compute(recognised, x), model.train(mode)(x))
    return recognised


def refused(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> str:
    """The reason for which a model is refused."""
    modes = [module.training for module in model.modules()]
    with pytest.raises(UnsupportedError) as info:
        recognise(model, shape)
    assert [module.training for module in model.modules()] == modes
    reason = str(info.value)
    assert reason
    assert "\n" not in reason
    return reason


def convolutional(conv: nn.Module | None = None, *after: nn.Module, size: int = 3 * 6 * 6):
    """One convolution, what comes after it, and a linear layer of ``size`` inputs."""
    conv = conv or nn.Conv2d(2, 3, 3)
    return nn.Sequential(conv, *after, nn.Flatten(), nn.Linear(size, 4))


class Net(nn.Module):
    """Two layers, and a forward that joins them: ``forward(self, x)``."""

    def __init__(self, forward, **modules: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.fc = nn.Linear(108, 4)
        for name, module in modules.items():
            self.add_module(name, module)
        # torch.fx traces the forward of the class.
        self.__class__ = type("Net", (Net,), {"forward": forward})


def flattening(flatten) -> nn.Module:
    return Net(lambda self, x: self.fc(flatten(F.relu(self.conv(x)))))


def between(operation) -> nn.Module:
    """An operation between the convolution and the flattening."""
    return Net(lambda self, x: self.fc(operation(self.conv(x)).flatten(1)))


def statistics(norm):
    """A batch normalisation that has seen something."""
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.2, 2)
    return norm
