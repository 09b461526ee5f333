from __future__ import annotations

import copy
import gc
import math
import re
import types
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, prune

from sparring.errors import SparringError
from sparring.fused.network import (
    IMAGE,
    Activation,
    Addition,
    Affine,
    AnyConvolution,
    Convolution,
    Dense,
    Network,
    Padding,
    Pooling,
)
from sparring.fused.recognise import Recognised, UnsupportedError, fingerprint, recognise
from sparring.networks import MadryCNN, Normalize, StudyCNN

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


# What is recognised.


def test_study_network():
    model = StudyCNN()
    recognised = check(model, (1, 28, 28))
    assert recognised.network == Network(
        (1, 28, 28),
        (),
        (),
        (
            Convolution(1, 28, 28, 10, 5, 0, relu=True, pool=False),
            Convolution(10, 24, 24, 20, 5, 0, relu=True, pool=False),
        ),
        (Dense(8000, 50, relu=True), Dense(50, 10, relu=False)),
    )
    assert all(a is b for a, b in zip(recognised.parameters, model.parameters(), strict=True))


def test_normalised_madry_network():
    recognised = check(nn.Sequential(Normalize(0.1307, 0.3081), MadryCNN()), (1, 28, 28))
    assert recognised.network == Network(
        (1, 28, 28),
        (float(torch.tensor(0.1307)),),
        (float(torch.tensor(0.3081)),),
        (
            Convolution(1, 28, 28, 32, 5, 2, relu=True, pool=True),
            Convolution(32, 14, 14, 64, 5, 2, relu=True, pool=True),
        ),
        (Dense(3136, 1024, relu=True), Dense(1024, 10, relu=False)),
    )


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        (Normalize([0.5, 0.25], [0.5, 2.0]), (0.5, 0.25), (0.5, 2.0)),
        (Normalize(0.5, [0.5, 2.0]), (0.5, 0.5), (0.5, 2.0)),
        (Normalize(1, 2), (1.0, 1.0), (2.0, 2.0)),
    ],
)
def test_normalisation(normalize, mean, std):
    network = check(nn.Sequential(nn.Identity(), normalize, convolutional())).network
    assert (network.mean, network.std) == (mean, std)


@pytest.mark.parametrize(
    "flatten",
    [
        lambda x: x.flatten(1),
        lambda x: x.flatten(start_dim=1, end_dim=-1),
        lambda x: x.flatten(-3, 3),
        lambda x: x.flatten(1).flatten(1),
        lambda x: torch.flatten(x, 1),
        lambda x: torch.flatten(input=x, start_dim=1),
        lambda x: x.view(-1, 108),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(x.size()[0], -1),
        lambda x: x.view(x.shape[0], -1),
        lambda x: x.view((x.shape[-4], 108)),
        lambda x: x.view(x.size(0), x.size(1) * x.size(2) * x.size(-1)),
        lambda x: x.reshape(x.size(0), -1),
        lambda x: x.reshape([x.size(0), -1]),
        lambda x: torch.reshape(x, (x.shape[0], -1)),
        lambda x: x.view(-1, 3, 6, 6).view(-1, 108),
        nn.Flatten(),
        nn.Flatten(1, 3),
    ],
)
def test_ways_to_flatten(flatten):
    check(flattening(flatten) if not isinstance(flatten, nn.Module) else convolutional())


def test_sizes_may_be_unpacked():
    def forward(self, x):
        n, channels, height, width = x.shape
        return self.fc(self.conv(x.view(n, channels, height, width)).view(n, -1))

    check(Net(forward))


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        F.relu_,
        torch.relu,
        torch.relu_,
        nn.ReLU(),
        nn.ReLU(inplace=True),
        lambda x: F.relu(x, inplace=True),
        lambda x: F.relu(input=x),
        lambda x: x.relu(),
        lambda x: x.relu_(),
        lambda x: x.relu().relu(),
        lambda x: F.relu(x.flatten(1)),
    ],
)
def test_ways_to_write_relu(relu):
    model = Net(lambda self, x: self.fc(relu(self.conv(x)).flatten(1)))
    if isinstance(relu, nn.Module):
        model = convolutional(None, relu)
    assert check(model).network.convolutions[0].relu


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d((2, 2), (2, 2), (0, 0), (1, 1)),
        nn.MaxPool2d([2, 2], stride=2),
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.max_pool2d(x, kernel_size=(2, 2), stride=2),
        lambda x: F.max_pool2d(x, [2], stride=[]),
        lambda x: torch.max_pool2d(x, 2),
        lambda x: torch.max_pool2d(x, 2, 2, 0, 1, False),
    ],
)
@pytest.mark.parametrize("order", ["relu-pool", "pool-relu"])
def test_ways_to_pool(pool, order):
    def forward(self, x):
        x = self.conv(x)
        x = self.pool(F.relu(x)) if order == "relu-pool" else F.relu(self.pool(x))
        return self.fc(x.flatten(1))

    class Pool(nn.Module):
        def forward(self, x):
            return pool(x)

    module = pool if isinstance(pool, nn.Module) else Pool()
    layer = check(Net(forward, pool=module, fc=nn.Linear(27, 4))).network.convolutions[0]
    assert layer.relu
    assert layer.pool


@pytest.mark.parametrize(
    ("pool", "pixels"),
    [
        (nn.MaxPool2d(3), 4),
        (nn.MaxPool2d((2, 1)), 18),
        (nn.MaxPool2d(2, 1), 25),
        (nn.MaxPool2d(3, 2, 1), 9),
        (nn.AvgPool2d(2), 9),
        (nn.AvgPool2d((3, 2), 1, (1, 0)), 30),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), 9),
        (nn.AdaptiveAvgPool2d(1), 1),
        (nn.AdaptiveAvgPool2d((None, 3)), 18),
        (nn.AdaptiveAvgPool2d(6), 36),
        (lambda x: F.max_pool2d(x, 3, padding=1), 4),
        (lambda x: F.avg_pool2d(x, 3, stride=1), 16),
        (lambda x: F.avg_pool2d(x, 2, 2, 1, False, False), 16),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 2)), 2),
        (lambda x: F.max_pool2d(F.max_pool2d(x, 2), 2), 1),
    ],
)
def test_poolings_of_their_own(pool, pixels):
    def forward(self, x):
        return self.fc(pool(F.relu(self.conv(x))).flatten(1))

    model = Net(forward, fc=nn.Linear(3 * pixels, 4))
    if isinstance(pool, nn.Module):
        model = convolutional(None, nn.ReLU(), pool, size=3 * pixels)
    front = check(model).network.front
    assert len(front) == (1 if pixels == 36 else 2)


@pytest.mark.parametrize(
    "activation",
    [
        nn.LeakyReLU(), nn.LeakyReLU(0.3), nn.Tanh(), nn.Sigmoid(), nn.ELU(), nn.ELU(0.5),
        nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Softplus(), nn.Softplus(3.0), torch.tanh, F.tanh,
        torch.sigmoid, F.sigmoid, F.elu, F.gelu, F.silu, F.softplus, F.leaky_relu,
        lambda x: x.tanh(), lambda x: x.sigmoid(), lambda x: F.leaky_relu(x, 0.2, True),
        lambda x: F.elu(x, alpha=2.0), lambda x: F.gelu(x, approximate="tanh"),
        lambda x: F.softplus(x, 2, 30), lambda x: F.relu(F.silu(x)),
    ],
)  # fmt: skip
def test_activations(activation):
    if isinstance(activation, nn.Module):
        check(convolutional(None, activation))
        check(nn.Sequential(nn.Flatten(), nn.Linear(128, 9), activation, nn.Linear(9, 4)))
        check(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), activation, nn.Linear(108, 4)))
    else:
        check(between(activation))


def test_relu_may_follow_anything():
    front = check(convolutional(None, nn.AvgPool2d(2), nn.ReLU(), size=27)).network.front
    assert not front[0].relu
    check(nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4)))


def test_relu_may_follow_maxima():
    pools = nn.MaxPool2d(3, 1), nn.MaxPool2d(2, 1)
    front = check(convolutional(None, *pools, nn.ReLU(), size=27)).network.front
    assert front[0].relu


def test_poolings_may_come_first():
    check(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)))
    check(nn.Sequential(Normalize(0.5, 0.5), nn.MaxPool2d(2), convolutional(size=12)))


@pytest.mark.parametrize(("stride", "side"), [(2, 3), (3, 2), ((2, 2), 3)])
def test_strides(stride, side):
    model = convolutional(nn.Conv2d(2, 3, 3, stride=stride), nn.ReLU(), size=3 * side * side)
    assert check(model).network.convolutions[0].out_height == side


def test_rows_of_features():
    model = nn.Sequential(nn.Linear(41, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    network = check(model, (41,)).network
    assert (network.shape, network.pixels) == ((41,), 41)
    check(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), (5,))


def test_an_odd_row_is_left_out_by_pooling():
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    layer = check(model, (1, 6, 8)).network.convolutions[0]
    assert (layer.out_height, layer.out_width) == (2, 3)


@pytest.mark.parametrize(
    ("padding", "kernel", "expected"),
    [(0, 3, 0), (1, 3, 1), ((2, 2), 3, 2), ("same", 3, 1), ("same", 5, 2), ("valid", 3, 0)],
)
def test_padding(padding, kernel, expected):
    side = 8 + 2 * expected - kernel + 1
    model = convolutional(nn.Conv2d(2, 3, kernel, padding=padding), size=3 * side * side)
    assert check(model).network.convolutions[0].padding == expected


def test_without_convolutions_and_biases():
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 5, bias=False), nn.ReLU(), nn.Linear(5, 4))
    recognised = check(model)
    assert recognised.network.convolutions == ()
    assert recognised.parameters[1] is None
    check(convolutional(nn.Conv2d(2, 3, 3, bias=False)))


def test_nested_modules_and_layers_that_do_nothing():
    inner = nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 3)), nn.Sequential(), nn.ReLU())
    tail = nn.Sequential(nn.Dropout(0.0), nn.Linear(108, 4), nn.Identity())
    check(nn.Sequential(nn.Identity(), inner, nn.Flatten(), tail))


def test_one_relu_module_may_serve_several_layers():
    relu = nn.ReLU()
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), relu, nn.Flatten(), nn.Linear(108, 5), relu, nn.Linear(5, 4)
    )
    network = check(model).network
    assert network.convolutions[0].relu
    assert network.dense[0].relu


def test_modules_in_a_list_and_called_by_keyword():
    def forward(self, x):
        for layer in self.layers:
            x = layer(input=x)
        return x

    layers = nn.ModuleList([nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4)])
    model = Net(forward, layers=layers)
    del model.conv, model.fc
    check(model)


def test_buffers_and_unused_modules_without_parameters_do_not_matter():
    model = Net(lambda self, x: self.fc(self.conv(x).flatten(1)), unused=nn.Softmax(1))
    model.register_buffer("counter", torch.zeros(3))
    check(model)


def test_gradients_may_be_off():
    model = convolutional().requires_grad_(False)
    with torch.no_grad():
        check(model)
    with torch.inference_mode():
        recognise(model, SHAPE)


def statistics(norm):
    """A batch normalisation that has seen something."""
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.2, 2)
    return norm


@st.composite
def models(draw):
    """A random supported model and the shape of its images."""
    channels = draw(st.integers(1, 3))
    height, width = draw(st.integers(5, 9)), draw(st.integers(5, 9))
    shape = (channels, height, width)
    layers: list[nn.Module] = []

    def sometimes(module):
        if draw(st.booleans()):
            layers.append(module)

    if draw(st.booleans()):
        numbers = [0.5 + i for i in range(draw(st.sampled_from([1, channels])))]
        layers.append(Normalize(numbers, draw(st.sampled_from([0.5, [0.5] * channels]))))
    for _ in range(draw(st.integers(0, 3))):
        kernel = draw(st.integers(1, min(5, height, width)))
        padding = draw(st.integers(0, kernel - 1))
        if kernel % 2 and padding == kernel // 2 and draw(st.booleans()):
            given = "same"
        else:
            given = draw(st.sampled_from([padding, (padding, padding)]))
        outputs = draw(st.integers(1, 3))
        bias = draw(st.booleans())
        stride = 1 if given == "same" else draw(st.integers(1, 3))
        layers.append(nn.Conv2d(channels, outputs, kernel, stride, padding=given, bias=bias))
        channels = outputs
        height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        if draw(st.booleans()):
            layers.append(statistics(nn.BatchNorm2d(channels, affine=draw(st.booleans()))))
        sometimes(nn.ReLU(inplace=draw(st.booleans())))
        if min(height, width) >= 2 and draw(st.booleans()):
            size, stride = draw(st.integers(1, min(3, height, width))), draw(st.integers(1, 3))
            padding = draw(st.integers(0, size // 2))
            kind = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
            layers.append(kind(size, stride, padding))
            height, width = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
        sometimes(draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU, nn.ELU]))())
        sometimes(nn.Identity())
    layers.append(nn.Flatten())
    size = math.prod((channels, height, width))
    for _ in range(draw(st.integers(0, 2))):
        outputs = draw(st.integers(1, 6))
        layers.append(nn.Linear(size, outputs, bias=draw(st.booleans())))
        size = outputs
        if draw(st.booleans()):
            layers.append(statistics(nn.BatchNorm1d(size, affine=draw(st.booleans()))))
        sometimes(draw(st.sampled_from([nn.ReLU, nn.SiLU, nn.Sigmoid]))())
        if isinstance(layers[-1], nn.ReLU | nn.SiLU | nn.Sigmoid) and draw(st.booleans()):
            layers.append(statistics(nn.BatchNorm1d(size, affine=draw(st.booleans()))))
        sometimes(nn.Dropout(draw(st.sampled_from([0.0, 0.5]))))
    layers.append(nn.Linear(size, draw(st.integers(1, 5))))
    cut = draw(st.integers(0, len(layers)))
    if draw(st.booleans()):
        return nn.Sequential(nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:])), shape
    return nn.Sequential(*layers), shape


@given(models())
def test_what_is_recognised_is_what_the_model_computes(drawn):
    model, shape = drawn
    recognised = check(model, shape)
    own = [p for p in recognised.parameters if p is not None]
    norms = recognised.norms + recognised.norms_before
    own += [p for norm in norms if norm is not None for p in norm.parameters()]
    assert {*map(id, own)} == {*map(id, model.parameters())}


@given(models())
def test_gradients_are_those_of_the_model(drawn):
    model, shape = drawn
    x = (torch.rand((2, *shape)) - 0.5).requires_grad_()
    recognised = recognise(model.eval(), shape)
    # What is folded is made anew of the parameters, without a graph.
    folded = any(recognised.norms + recognised.norms_before)
    tensors = [x, *([] if folded else model.parameters())]
    ours = torch.autograd.grad(compute(recognised, x).square().sum(), tensors)
    theirs = torch.autograd.grad(model(x).square().sum(), tensors)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


# Branches.


def _residual(self, x):
    y = self.conv(x)
    return self.fc((F.relu(y) + y).flatten(1))


def _residual_in_place(self, x):
    y = self.conv(x)
    z = torch.tanh(y)
    z += y
    return self.fc(F.relu(z).flatten(1))


def _cut_off_in_place_for_both(self, x):
    y = torch.tanh(self.conv(x))
    z = torch.sigmoid(F.relu(y, inplace=True))
    return self.fc(torch.add(z, y).flatten(1))


def _written_where_it_stood(self, x):
    y = self.conv(x)
    y.relu_()
    return self.fc(y.flatten(1))


def _added_to_in_place(self, x):
    y = self.conv(x)
    z = torch.tanh(y)
    y.add_(z)
    return self.fc(torch.sigmoid(y).add(self.pool(y)).flatten(1))


def _identities(self, x):
    y = self.nothing(self.conv(x))
    return self.fc((torch.tanh(self.nothing(y)) + y).flatten(1))


@pytest.mark.parametrize(
    ("forward", "sources"),
    [
        (_residual, ((-1,), (0,), (1, 0))),
        (_residual_in_place, ((-1,), (0,), (1, 0))),
        (_cut_off_in_place_for_both, ((-1,), (0,), (1,), (2,), (3, 2))),
        (_written_where_it_stood, ((-1,), (0,))),
        (_added_to_in_place, ((-1,), (0,), (0, 1), (2,), (2,), (3, 4))),
        (_identities, ((-1,), (0,), (1, 0))),
    ],
)
def test_branches(forward, sources):
    pool = nn.MaxPool2d(3, 1, padding=1)
    found = check(Net(forward, nothing=nn.Identity(), pool=pool)).network
    assert found.taken() == sources


def test_a_branch_of_the_image():
    def forward(self, x):
        return self.fc((self.same(x) + x).flatten(1))

    found = check(Net(forward, same=nn.Conv2d(2, 2, 3, padding=1), fc=nn.Linear(128, 4), conv=None))
    assert found.network.sources == ((-1,), (0, -1))


def test_nothing_becomes_part_of_a_layer_whose_output_is_taken_twice():
    def forward(self, x):
        y = self.conv(x)
        return self.fc((F.max_pool2d(F.relu(self.norm(y)), 1) + y).flatten(1))

    found = check(Net(forward, norm=nn.BatchNorm2d(3)).eval()).network
    assert [type(layer) for layer in found.front] == [Convolution, Affine, Pooling, Addition]
    assert not found.front[0].relu
    assert found.front[1].relu


@pytest.mark.parametrize("dims", [(2, 3), [-1, -2], (-2, 3)])
@pytest.mark.parametrize("keep", [False, True])
def test_global_average_pooling_as_a_mean(dims, keep):
    model = Net(lambda self, x: self.head(self.conv(x).mean(dims, keepdim=keep).flatten(1)))
    model.head, model.fc = nn.Linear(3, 4), nn.Identity()
    assert check(model).network.front[1] == Pooling(True, 3, 6, 6, (6, 6), (6, 6))


@pytest.mark.parametrize(
    ("operation", "size", "layer"),
    [
        (lambda x: x[:, :, ::2, ::2], 27, Pooling(True, 3, 6, 6, (1, 1), (2, 2))),
        (lambda x: x[:, :, ::4], 36, Pooling(True, 3, 6, 6, (1, 1), (4, 1))),
        (lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)), 216, Padding(3, 6, 6, before=1, after=2)),
        (lambda x: F.pad(x, (1, 2)), 162, Padding(3, 6, 6, left=1, right=2)),
    ],
)
def test_parts_of_a_skip(operation, size, layer):
    model = between(operation)
    model.fc = nn.Linear(size, 4)
    assert check(model).network.front[1] == layer


@given(
    channels=st.sampled_from([(2, 4, 2), (2, 3, 1), (2, 6, 2)]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pool=st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]),
    window=st.integers(1, 3),
    step=st.integers(1, 3),
)
def test_any_convolution_and_windows_over_the_edge(
    channels, kernel, stride, padding, dilation, pool, window, step
):
    inputs, outputs, groups = channels
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups)
    front = nn.Sequential(conv, nn.ReLU(), pool(window, step, ceil_mode=True))
    try:
        size = front(torch.rand(1, *SHAPE)).numel()
    except RuntimeError:
        return  # nothing to pool
    check(nn.Sequential(front, nn.Flatten(), nn.Linear(size, 3)))


def _three_branches(self, x):
    y = self.conv(x)
    return self.fc((torch.tanh(y) + (torch.sigmoid(y) + F.elu(y))).flatten(1))


def _two_additions(self, x):
    y = self.conv(x)
    z = torch.tanh(self.conv2(x))
    return self.fc(((z + y) + y).flatten(1))


def _many_of_the_image(self, x):
    y = torch.tanh(self.conv2(x)) + torch.sigmoid(self.conv2b(x)) + self.conv(x)
    return self.fc((y + self.conv2c(x) + y).flatten(1))


@pytest.mark.parametrize(
    ("forward", "copies"), [(_three_branches, 1), (_two_additions, 1), (_many_of_the_image, 3)]
)
def test_copies_of_what_many_take(forward, copies):
    convolutions = {name: nn.Conv2d(2, 3, 3) for name in ("conv2", "conv2b", "conv2c")}
    model = Net(forward, **convolutions)
    for name in [name for name in convolutions if name not in forward.__code__.co_names]:
        delattr(model, name)
    network = check(model).network
    assert sum(isinstance(layer, Padding) for layer in network.front) == copies
    taken = [source for sources in network.taken() for source in sources]
    additions = [source for sources in network.taken() if len(sources) > 1 for source in sources]
    assert max(map(taken.count, taken)) == 2
    assert max(map(additions.count, additions)) == 1


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Flatten(), nn.BatchNorm1d(128), nn.Linear(128, 4)],
        [
            nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(108),
            nn.Linear(108, 4, bias=False),
        ],
        [
            nn.Flatten(), nn.Linear(128, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.BatchNorm1d(6),
            nn.Dropout(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.GELU(),
            nn.BatchNorm1d(5, affine=False), nn.Linear(5, 4), nn.BatchNorm1d(4),
        ],
    ],
)  # fmt: skip
def test_batch_norm_before_a_linear_layer(layers):
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d):
            statistics(layer)
    model = nn.Sequential(*layers)
    assert "normalises by the minibatch" in check(model).only_attacks


def test_a_normalised_value_that_others_take_is_refused():
    norm = nn.BatchNorm1d(108)
    model = Net(lambda self, x: self.norm(y := self.conv(x).flatten(1)) + self.fc(y), norm=norm)
    assert "layer norm (BatchNorm1d) is given a value that other layers take" in refused(model)


# What is refused.


def _unused(self, x):
    y = self.conv(x)
    self.conv2(x)
    return self.fc(y.flatten(1))


def _branch_of_rows(self, x):
    y = self.fc(self.conv(x).flatten(1))
    return F.relu(y) + y


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (_unused, "a value that isn't that of the layer before"),
        (_branch_of_rows, "without branches"),
        (lambda self, x: self.fc((self.conv(x) + 1).flatten(1)), "adds what is not another"),
        (lambda self, x: self.fc((self.conv(x) + x).flatten(1)), "adds (2, 8, 8) to (3, 6, 6)"),
        (lambda self, x: F.pad(self.conv(x), (1, -1)), "has padding (1, -1)"),
        (lambda self, x: F.pad(self.conv(x), (1, 1), value=2.0), "value 2.0; the fused engine"),
        (lambda self, x: F.pad(self.conv(x), (1, 1), "reflect"), "has mode 'reflect'"),
        (lambda self, x: self.conv(x).mean(1), "is over dimensions 1"),
        (lambda self, x: self.conv(x)[:, :, 1::2], "takes part of a value"),
        (lambda self, x: self.conv(x)[:, ::2], "takes part of a value"),
        (lambda self, x: self.conv(x)[0], "takes part of a value"),
    ],
)
def test_other_branches(forward, reason):
    assert reason in refused(Net(forward, conv2=nn.Conv2d(2, 3, 3)))


def test_the_error_is_meant_to_be_read():
    assert issubclass(UnsupportedError, SparringError)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(2, 3, 3))
    model.add_module("conv2", nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"))
    assert refused(model) == (
        "layer conv2 (Conv2d) has padding mode 'circular'; the fused engine takes 'zeros'"
    )


@pytest.mark.parametrize("shape", [(), (0,), (28, 28), (1, 1, 28, 28), (1, 0, 28)])
def test_other_images(shape):
    assert "(channels, height, width) or (features,)" in refused(StudyCNN(), shape)


@pytest.mark.parametrize("first", [nn.Conv2d(1, 1, 1), nn.MaxPool2d(1), Normalize(0, 1)])
def test_layers_for_images_refuse_features(first):
    assert f"layer 0 ({type(first).__name__})" in refused(nn.Sequential(first), (128,))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"padding": 1, "padding_mode": "reflect"}, "padding mode 'reflect'"),
        ({"padding": "same", "kernel_size": 4}, "padding 'same' and a kernel of size (4, 4)"),
        ({"kernel_size": 9}, "kernel too large for 8x8 pixels"),
        ({"in_channels": 3}, "takes 3 channels and is given 2"),
        ({"dtype": torch.float64}, "0.weight is float64; the fused engine takes float32"),
        ({"dtype": torch.complex64}, "0.weight is complex64"),
        ({"dtype": torch.bfloat16}, "0.weight is bfloat16"),
        ({"device": "meta"}, "0.weight is on meta"),
    ],
)
def test_convolutions(settings, reason):
    conv = nn.Conv2d(**{"in_channels": 2, "out_channels": 3, "kernel_size": 3, **settings})
    assert reason in refused(convolutional(conv))


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (nn.MaxPool2d(7), "has nothing to pool in 6x6 pixels"),
        (nn.MaxPool2d(2, padding=2), "has padding 2, more than half its window"),
        (nn.MaxPool2d(2.0), "has sizes that aren't understood"),
        (nn.MaxPool2d(2, dilation=2), "has dilation 2"),
        (nn.MaxPool2d(2, return_indices=True), "has return_indices"),
        (nn.AvgPool2d(2, divisor_override=3), "has divisor_override"),
        (nn.AdaptiveAvgPool2d(4), "makes 4x4 pixels of 6x6; the fused engine takes windows of eq"),
        (nn.AdaptiveMaxPool2d(2), "layer 1 (AdaptiveMaxPool2d) is not one"),
    ],
)
def test_pooling(pool, reason):
    assert reason in refused(convolutional(None, pool))


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)], "layer 0 (ReLU) comes before the first"),
        ([nn.Tanh()], "layer 0 (Tanh) comes before the first layer"),
        ([nn.Conv2d(2, 3, 3), nn.LeakyReLU(-1.0)], "layer 1 (LeakyReLU) has the parameter -1.0"),
        ([nn.Conv2d(2, 3, 3), nn.ELU(float("nan"))], "layer 1 (ELU) has the parameter nan"),
        ([nn.Conv2d(2, 3, 3), nn.Softplus(1, 9)], "has threshold 9; the fused engine takes 16"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.Tanh()], "an activation (Tanh) follows the last"),
        (
            [nn.Flatten(), nn.Linear(128, 4), nn.Tanh(), nn.ReLU()],
            "layer 3 (ReLU) is the second activation after one linear layer",
        ),
        (
            [nn.Flatten(), nn.Linear(128, 4), nn.ReLU(), nn.ELU()],
            "layer 3 (ELU) is the second activation after one linear layer",
        ),
        ([nn.Conv2d(2, 3, 8), nn.MaxPool2d(2)], "nothing to pool in 1x1 pixels"),
        ([nn.Conv2d(2, 3, 3), nn.Flatten(), nn.MaxPool2d(2)], "follows a flattening"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.MaxPool2d(2)], "follows a flattening"),
        ([nn.Flatten(), nn.Conv2d(2, 3, 3)], "follows a flattening or a linear layer"),
        ([nn.Conv2d(2, 3, 3), nn.Linear(6, 4)], "images of shape (3, 6, 6), not flattened"),
        ([nn.Flatten(), nn.Linear(100, 4)], "takes 100 inputs and is given 128"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.ReLU()], "a ReLU follows the last linear layer"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.Softmax(1)], "layer 2 (Softmax) is not one"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.LogSoftmax(1)], "layer 2 (LogSoftmax) is not"),
        ([nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten()], "doesn't end in a linear layer"),
        ([], "doesn't end in a linear layer"),
        ([nn.Conv2d(2, 3, 8), nn.Flatten(), nn.BatchNorm1d(3)], "doesn't end in a linear layer"),
        (
            [nn.Flatten(), nn.Linear(128, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)],
            "a BatchNorm1d is followed by no linear layer",
        ),
        (
            [nn.Flatten(), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 4)],
            "layer 2 (ReLU) follows a BatchNorm1d, which the fused engine folds into the next",
        ),
        (
            [nn.Flatten(), nn.BatchNorm1d(128), nn.Tanh(), nn.Linear(128, 4)],
            "layer 2 (Tanh) follows a BatchNorm1d",
        ),
        (
            [nn.Flatten(), nn.BatchNorm1d(128), nn.BatchNorm1d(128), nn.Linear(128, 4)],
            "layer 2 (BatchNorm1d) follows a BatchNorm1d",
        ),
        ([nn.Conv2d(2, 3, 3), nn.BatchNorm2d(4)], "has 4 features and is given (3, 6, 6)"),
        ([nn.Conv2d(2, 3, 3), nn.BatchNorm1d(3)], "has 3 features and is given (3, 6, 6)"),
        (
            [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)],
            "has no running statistics: in eval mode, too, it normalises by the batch",
        ),
        ([nn.Conv2d(2, 3, 3), nn.BatchNorm3d(3)], "layer 1 (BatchNorm3d) is not one"),
        ([nn.Conv2d(2, 3, 3), nn.Mish()], "layer 1 (Mish) is not one"),
        ([nn.Flatten(0)], "flattens dimensions 0 to -1"),
        ([nn.Flatten(1, 2)], "flattens dimensions 1 to 2"),
        ([nn.Conv2d(2, 3, 3), Normalize(0, 1)], "layer 1 (Normalize) is not the first layer"),
        ([Normalize(0, 1), Normalize(0, 1)], "layer 1 (Normalize) is not the first layer"),
        ([nn.Flatten(), Normalize(0, 1)], "layer 1 (Normalize) is not the first layer"),
        ([Normalize([0.0] * 3, 1)], "mean of shape (1, 3, 1, 1) for images of 2 channels"),
        ([Normalize(0.0, 1.0).double()], "has a mean of float64"),
        ([Normalize(0, 1).to("meta")], "on meta"),
        ([nn.LazyConv2d(3, 3)], "layer 0 (LazyConv2d) has hooks"),
        ([nn.Conv2d(2, 3, 3), nn.Unflatten(1, (1, 3))], "Unflatten"),
    ],
)
def test_chains(layers, reason):
    assert reason in refused(nn.Sequential(*layers))


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x * 2, "operation mul is not one"),
        (lambda x: 1 - x, "operation sub is not one"),
        (lambda x: x + x, "operation add adds a value to itself"),
        (lambda x: -x, "operation neg is not one"),
        (lambda x: torch.cat([x, x]), "operation cat is not one"),
        (lambda x: x.tan(), "operation tan is not one"),
        (lambda x: F.mish(x), "operation mish is not one"),
        (lambda x: F.dropout(x, 0.5), "operation dropout is active, with p=0.5"),
        (lambda x: x.clamp(min=0), "operation clamp is not one"),
        (lambda x: x.detach(), "operation detach is not one"),
        (lambda x: x.double(), "operation double is not one"),
        (lambda x: x[:, :2], "operation getitem takes part of a value"),
        (lambda x: x.mT, "operation .mT is not one"),
        (lambda x: F.avg_pool2d(x, 7), "operation avg_pool2d has nothing to pool"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], "is not one"),
        (lambda x: x.relu(2, 3), "operation relu has arguments that aren't understood"),
        (lambda x: x.flatten(), "operation flatten flattens dimensions 0 to -1"),
        (lambda x: x.view(-1), "operation view has sizes that aren't understood"),
        (lambda x: x.view(64, -1), "operation view fixes the batch size to 64"),
        (lambda x: x.view(-1, 54), "operation view gives each image the shape (54,)"),
        (lambda x: x.view(-1, 6, 3, 6), "gives each image the shape (6, 3, 6)"),
        (lambda x: x.view(x.shape[0], 2, -1), "gives each image the shape (2, 54)"),
        (lambda x: x.view(torch.int32), "sizes that aren't understood"),
        (lambda x: x.view(x.size(7), -1), "operation size is not one"),
        (lambda x: x.view(x.shape[0] * 2, -1), "operation mul is not one"),
        (lambda x: x.reshape((*x.shape[:1], -1)), "torch.fx can't trace the model"),
        (lambda x: x.view(len(x), -1), "torch.fx can't trace the model"),
        (lambda x: x if x.sum() > 0 else x * 2, "torch.fx can't trace the model"),
        (lambda x: x + torch.ones(1), "uses a tensor that is not a parameter"),
        (lambda x: x + torch.rand(()), "uses a tensor that is not a parameter"),
    ],
)
def test_operations(operation, name):
    model = between(operation)
    before = set(vars(model))
    state = torch.get_rng_state()
    assert name in refused(model)
    assert set(vars(model)) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_softmax_at_the_end():
    model = Net(lambda self, x: F.log_softmax(self.fc(self.conv(x).flatten(1)), dim=1))
    assert refused(model) == "operation log_softmax is not one that the fused engine takes"


def _value_used_again(self, x):
    y = self.conv(x)
    F.relu(y)
    return self.fc(y.flatten(1))


def _earlier_output(self, x):
    y = self.fc(self.conv(x).flatten(1))
    y.relu()
    return y


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (_value_used_again, "layer fc (Linear) takes a value that isn't that of the layer before"),
        (_earlier_output, "without branches"),
        (lambda self, x: (self.fc(self.conv(x).flatten(1)), x), "doesn't return one tensor"),
        (lambda self, x: None, "doesn't return one tensor"),
        (lambda self, x: self.fc(self.fc.bias), "applied to something else"),
        (lambda self, x, y=None: self.conv(x), "more than one argument"),
        (lambda self, *x: self.conv(x[0]), "operation getitem"),
        (lambda self: self.conv(torch.rand(1)), "not a parameter"),
        (lambda self, x: F.conv2d(x, self.conv.weight), "uses conv.weight directly"),
        (lambda self, x: F.linear(x, weight=self.fc.weight), "linear uses fc.weight directly"),
        (lambda self, x: self.conv(x) * self.fc.bias, "mul uses fc.bias directly"),
        (lambda self, x: self.fc(x.flatten(1)[:, :108]), "getitem"),
        (lambda self, x: 1 / 0, "torch.fx can't trace the model: division by zero"),
        (lambda self, x: nn.ReLU()(self.conv(x)), "torch.fx can't trace the model"),
    ],
)
def test_forwards(forward, reason):
    assert reason in refused(Net(forward))


def test_parameters_without_a_part():
    model = Net(lambda self, x: self.fc(self.conv(x).flatten(1)), extra=nn.Linear(2, 2))
    assert refused(model) == "parameter extra.weight takes no part in the model's layers"
    model = convolutional()
    model.scale = nn.Parameter(torch.ones(1))
    assert "parameter scale takes no part" in refused(model)


def test_shared_parameters():
    shared = nn.Conv2d(2, 2, 3, padding=1)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Flatten(), nn.Linear(128, 4))
    assert "layer 0 (Conv2d) shares its weight with another layer, or is used twice" in (
        refused(model)
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 128), nn.Linear(128, 128))
    model[2].bias = model[1].bias
    assert "layer 2 (Linear) shares its bias" in refused(model)


class _Conv(nn.Conv2d):
    pass


class _ReLU(nn.ReLU):
    def forward(self, x):
        return x * 2


class _Normalize(Normalize):
    pass


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (_Conv(2, 3, 3), "layer 0 (_Conv) is derived from Conv2d; the fused engine takes the"),
        (_ReLU(), "layer 0 (_ReLU) is derived from ReLU"),
        (_Normalize(0, 1), "layer 0 (_Normalize) is derived from Normalize"),
        (parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), "(ParametrizedConv2d) is derived"),
        (parametrizations.spectral_norm(nn.Conv2d(2, 3, 3)), "(ParametrizedConv2d) is derived"),
        (prune.l1_unstructured(nn.Conv2d(2, 3, 3), "weight", 0.5), "layer 0 (Conv2d) has hooks"),
        (nn.ConvTranspose2d(2, 3, 3), "layer 0 (ConvTranspose2d) is not one"),
    ],
)
def test_other_classes_than_the_known_ones(layer, reason):
    assert reason in refused(nn.Sequential(layer, nn.Flatten(), nn.Linear(108, 4)))


@pytest.mark.filterwarnings("ignore")
def test_old_weight_norm_and_scripts_and_compiled_models():
    model = convolutional(torch.nn.utils.weight_norm(nn.Conv2d(2, 3, 3)))
    assert "has hooks" in refused(model)
    # Without its hook, what it computed last is left as a tensor that is not a parameter.
    model[0]._forward_pre_hooks.clear()
    refused(model)
    assert "is compiled by TorchScript" in refused(torch.jit.script(convolutional()))
    refused(torch.compile(convolutional()))


def test_a_graph_module():
    assert "has its own __call__" in refused(torch.fx.symbolic_trace(convolutional()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    set(torch.backends.quantized.supported_engines) <= {"none"}, reason="PyTorch can't quantize"
)
def test_a_quantized_layer():
    model = torch.ao.quantization.quantize_dynamic(convolutional(), {nn.Linear})
    assert "dynamic.modules.linear.Linear) is not one" in refused(model)


@pytest.mark.parametrize(
    "register",
    [
        lambda m: m[0].register_forward_hook(lambda *_: None),
        lambda m: m[0].register_forward_pre_hook(lambda *_: None),
        lambda m: m[0].register_full_backward_hook(lambda *_: None),
        lambda m: m[0].register_full_backward_pre_hook(lambda *_: None),
        lambda m: m.register_forward_hook(lambda *_: None),
        lambda m: m[0].weight.register_hook(lambda _: None),
        lambda m: m[0].weight.register_post_accumulate_grad_hook(lambda _: None),
        lambda m: nn.modules.module.register_module_forward_hook(lambda *_: None),
        lambda m: nn.modules.module.register_module_full_backward_hook(lambda *_: None),
    ],
)
def test_hooks(register):
    model = convolutional()
    before = fingerprint(model)
    handle = register(model)
    try:
        reason, during = refused(model), fingerprint(model)
    finally:
        handle.remove()
    assert "hook" in reason
    assert during != before
    check(model)
    assert fingerprint(model) == before


def test_replaced_methods():
    model = convolutional()
    model[0].forward = lambda x: x[:, :1]
    assert "layer 0 (Conv2d) has its method forward replaced" in refused(model)
    model = convolutional()
    model.forward = types.MethodType(lambda self, x: x * 2, model)
    assert "the model (Sequential) has its method forward replaced" in refused(model)

    class Doubled(nn.Sequential):
        def __call__(self, x):
            return 2 * super().__call__(x)

    assert "has its own __call__" in refused(Doubled(*convolutional()))


def test_layouts():
    model = convolutional()
    model[0].weight.data = model[0].weight.data.to(memory_format=torch.channels_last)
    assert "0.weight is not a dense contiguous array" in refused(model)
    model = convolutional()
    model[2].weight = nn.Parameter(model[2].weight.detach().to_sparse())
    assert "2.weight is not a dense contiguous array" in refused(model)
    model = convolutional()
    model[2].weight = nn.Parameter(torch.ones(4, 54))
    assert "layer 2 (Linear) has a weight of shape (4, 54), not (4, 108)" in refused(model)
    model[2].weight = nn.Parameter(torch.ones(0, 108))
    assert "layer 2 (Linear) has a weight of shape (0, 108)" in refused(model)
    model[2].weight = nn.UninitializedParameter()
    assert "2.weight is of type UninitializedParameter" in refused(model)
    model = convolutional()
    del model[2].bias
    model[2].bias = torch.zeros(4)
    assert "has a bias that is not a parameter" in refused(model)


def test_train_mode():
    def noisy(self, x):
        x = self.conv(x)
        return self.fc((x * 2 if self.training else x).flatten(1))

    reason = check(Net(noisy)).only_attacks
    assert reason.startswith("the model behaves differently in train mode: operation mul")

    def rectified(self, x):
        x = self.conv(x)
        return self.fc((x.relu() if self.training else x).flatten(1))

    assert check(Net(rectified)).only_attacks == "the model behaves differently in train mode"

    def other_layer(self, x):
        x = self.conv(x).flatten(1)
        return self.fc(x) if self.training else self.other(x)

    model = Net(other_layer, other=nn.Linear(108, 4))
    assert refused(model) == "parameter fc.weight takes no part in the model's layers"
    model.conv.eval()
    refused(model)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm2d(3), "layer 1 (BatchNorm2d) normalises by the minibatch in train mode"),
        (nn.BatchNorm2d(3, affine=False), "normalises by the minibatch in train mode"),
        (nn.Dropout(0.5), "layer 1 (Dropout) is active, with p=0.5"),
        (nn.Dropout2d(0.5), "layer 1 (Dropout2d) is active, with p=0.5"),
        (nn.Dropout3d(0.5), "layer 1 (Dropout3d) is active, with p=0.5"),
        (nn.AlphaDropout(0.5), "layer 1 (AlphaDropout) is active, with p=0.5"),
        (nn.FeatureAlphaDropout(0.5), "layer 1 (FeatureAlphaDropout) is active, with p=0.5"),
    ],
)
def test_layers_that_only_attacks_know(layer, reason):
    recognised = check(convolutional(None, layer))
    assert recognised.only_attacks.startswith("the model behaves differently in train mode: ")
    assert recognised.only_attacks.endswith(reason)


def test_functions_of_the_mode():
    def forward(self, x):
        x = F.dropout2d(self.conv(x), 0.3, self.training)
        return F.alpha_dropout(self.fc(F.dropout(x.flatten(1), training=self.training)))

    assert "operation dropout2d is active, with p=0.3" in check(Net(forward)).only_attacks
    assert not check(
        Net(lambda self, x: F.dropout(self.fc(self.conv(x).flatten(1)), 0))
    ).only_attacks


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda norm: norm.double(), "weight is float64"),
        (
            lambda norm: norm.register_buffer("running_var", torch.ones(3).double()),
            "has a running_var of float64 (3,) on cpu, not of float32 (3,) on cpu",
        ),
        (lambda norm: norm.register_buffer("running_mean", torch.ones(2)), "float32 (2,) on cpu"),
        (lambda norm: norm.to("meta"), "on meta"),
        (lambda norm: norm.register_parameter("bias", nn.Parameter(torch.ones(2))), "a bias of"),
        (lambda norm: norm.register_forward_hook(lambda *_: None), "has hooks"),
    ],
)
def test_batch_normalisations_that_are_not_what_they_seem(change, reason):
    model = convolutional(None, nn.BatchNorm2d(3))
    before = fingerprint(model)
    change(model[1])
    assert reason in refused(model)
    assert fingerprint(model) != before


def test_a_fingerprint_does_not_change_with_statistics():
    model = convolutional(None, nn.BatchNorm2d(3))
    before = fingerprint(model)
    model(torch.rand(2, *SHAPE))
    model[1].running_mean = torch.ones(3)
    assert fingerprint(model) == before
    model[1].eps = 0.1
    assert fingerprint(model) != before


def test_modes_within_forward():
    def frozen(self, x):
        with torch.no_grad():
            x = self.conv(x)
        return self.fc(x.flatten(1))

    assert "turns gradients off" in refused(Net(frozen))
    undecorated = Net(lambda self, x: self.fc(self.conv(x).flatten(1)))
    type(undecorated).forward = torch.no_grad()(type(undecorated).forward)
    assert "turns gradients off" in refused(undecorated)

    def cast(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.fc(self.conv(x).flatten(1))

    assert "turns autocast on" in refused(Net(cast))


def test_forwards_that_write_to_the_model():
    def counting(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return self.fc(self.conv(x).flatten(1))

    def keeping(self, x):
        self.features = self.conv(x)
        return self.fc(self.features.flatten(1))

    def buffering(self, x):
        self.counter += 1
        return self.fc(self.conv(x).flatten(1))

    for forward in (counting, keeping, buffering):
        model = Net(forward)
        model.register_buffer("counter", torch.zeros(()))
        before = set(vars(model))
        assert "changes attributes or buffers" in refused(model)
        assert set(vars(model)) == before
        assert model.counter == 0


def test_what_can_not_be_copied():
    model = convolutional()
    model.generator = (i for i in range(3))
    assert re.match(r"torch.fx can't trace the model: .*generator", refused(model))


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(Normalize(0.5, 0.5), convolutional(None, nn.ReLU()))
    model[1].eval()
    model[1][0].weight.requires_grad_(False)
    model[1][0].bias.grad = torch.ones(3)
    before = [{**vars(m)} for m in model.modules()]
    tensors = copy.deepcopy(model.state_dict())
    versions = [p._version for p in model.parameters()]
    recognise(model, SHAPE)
    for module, was in zip(model.modules(), before, strict=True):
        assert vars(module).keys() == was.keys()
        assert all(vars(module)[name] is value for name, value in was.items())
    assert [m.training for m in model] == [True, False]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert torch.equal(model[1][0].bias.grad, torch.ones(3))
    assert [p._version for p in model.parameters()] == versions
    torch.testing.assert_close(model.state_dict(), tensors, rtol=0, atol=0)


# Fingerprints.


def test_a_fingerprint_stays_the_same_while_the_model_is_trained():
    model = nn.Sequential(Normalize([0.5, 0.5], 0.5), convolutional(None, nn.ReLU()))
    before = fingerprint(model)
    number = hash(before)
    model.eval()
    model.requires_grad_(False)
    assert fingerprint(model) == before
    model.train()
    model.requires_grad_(True)
    model(torch.rand(2, *SHAPE)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.load_state_dict(copy.deepcopy(model.state_dict()))
    recognise(model, SHAPE)
    assert fingerprint(model) == before
    assert hash(fingerprint(model)) == number


def _replace_parameter(m):
    m[1].weight = nn.Parameter(m[1].weight.detach().clone())


def _drop_bias(m):
    m[1].bias = None


def _channels_last(m):
    m[1].weight.data = m[1].weight.data.to(memory_format=torch.channels_last)


def _forward(m):
    m[1].forward = lambda x: x


def _swap(m):
    m[1], m[5] = m[5], m[1]


def _rename(m):
    m.add_module("head", m._modules.pop("5"))


@pytest.mark.parametrize(
    "change",
    [
        _replace_parameter,
        _drop_bias,
        _channels_last,
        _forward,
        _swap,
        _rename,
        lambda m: m.append(nn.Softmax(1)),
        lambda m: m.__delitem__(2),
        lambda m: m.__setitem__(2, nn.ReLU()),
        lambda m: m.__setitem__(2, nn.Sequential()),
        lambda m: m[2].__setattr__("__class__", nn.Tanh),
        lambda m: m[1].__setattr__("stride", (2, 2)),
        lambda m: m[1].__setattr__("dilation", (2, 2)),
        lambda m: m[3].__setattr__("p", 0.5),
        lambda m: m[0].mean.add_(1),
        lambda m: m[0].register_buffer("std", torch.ones(1, 2, 1, 1)),
        lambda m: m.double(),
        lambda m: m[1].double(),
        lambda m: prune.identity(m[1], "weight"),
        lambda m: parametrizations.weight_norm(m[1]),
        lambda m: m.register_parameter("extra", nn.Parameter(torch.ones(1))),
        lambda m: setattr(m, "flag", True),
    ],
)
def test_a_fingerprint_changes_with_the_model(change):
    model = nn.Sequential(
        Normalize(0.5, 0.5),
        nn.Conv2d(2, 3, 3),
        nn.ReLU(),
        nn.Dropout(0.0),
        nn.Flatten(),
        nn.Linear(108, 4),
    )
    model.flag = False
    before = fingerprint(model)
    assert fingerprint(model) == before
    change(model)
    assert fingerprint(model) != before
    hash(fingerprint(model))


def test_fingerprints_of_equal_models_differ():
    model = convolutional()
    assert fingerprint(model) != fingerprint(copy.deepcopy(model))


def test_a_fingerprint_keeps_no_model_alive_and_knows_no_later_one():
    seen = []
    for _ in range(20):
        # The later models are likely to lie at the addresses of the earlier ones.
        model = nn.Sequential(nn.ReLU(), nn.Identity())
        dead = weakref.ref(model)
        key = fingerprint(model)
        assert key not in seen
        seen.append(key)
        del model
        gc.collect()
        assert dead() is None
    assert len(set(seen)) == 20


def test_a_fingerprint_takes_any_attribute_and_any_model():
    model = convolutional()
    model.names, model.sizes, model.rate = ["a"], ([1], 2), 0.5
    model.nothing = None
    model.register_parameter("none", None)
    model.register_module("gone", None)
    assert hash(fingerprint(model)) == hash(fingerprint(model))
    hash(fingerprint(nn.Sequential(nn.LazyLinear(3), Normalize(0, 1).to("meta"))))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fingerprint_of_a_script():
    hash(fingerprint(torch.jit.script(convolutional())))


def test_a_fingerprint_does_not_hinder_swapping_tensors():
    model = convolutional()
    before = fingerprint(model)
    torch.utils.swap_tensors(model[0].weight, nn.Parameter(torch.ones(3, 2, 3, 3).double()))
    assert fingerprint(model) != before
