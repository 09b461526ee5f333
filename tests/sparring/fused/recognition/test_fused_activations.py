"""Poolings and activations that are recognised, and what may follow what."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.networks import Normalize
from tests.sparring.fused.recognition.recognising import Net, between, check, convolutional


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
