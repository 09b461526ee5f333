"""Networks, layers, and the ways to write them, that are recognised."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.fused.network import Convolution, Dense, Network
from sparring.fused.recognise import recognise
from sparring.networks import MadryCNN, Normalize, StudyCNN
from tests.sparring.fused.recognition.recognising import (
    SHAPE,
    Net,
    check,
    convolutional,
    flattening,
)


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
