"""Small networks for the fused engine's tests."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.networks import Normalize


def head(*sizes, bias=True):
    """Flatten and linear layers of these sizes, ReLU between them."""
    layers = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, bias=bias), nn.ReLU()]
    return layers[:-1]


def conv(*arguments, **keywords):
    return [nn.Conv2d(*arguments, **keywords), nn.ReLU()]


#: Name to (image shape, layers). Which convolutions are computed by Winograd tiles, and in which
#: networks blocks wait for each other before linear layers, is asserted in test_fused_engine.
NETWORKS = {
    "same-pool-odd": (
        (3, 13, 10),
        lambda: [
            *conv(3, 8, 3, padding="same"), nn.MaxPool2d(2),
            *conv(8, 17, 3, padding=2), nn.MaxPool2d(2),
            *head(17 * 4 * 3, 130, 5),
        ],
    ),
    "winograd-5-4": (
        (1, 17, 14),
        lambda: [
            *conv(1, 6, 5), *conv(6, 20, 5, padding=1), *conv(20, 8, 4, padding=1),
            *head(8 * 10 * 7, 13, 10),
        ],
    ),
    "winograd-odd": (
        (8, 11, 10),
        lambda: [
            *conv(8, 18, 4), nn.Conv2d(18, 20, 3, padding=2), *conv(20, 17, 4),
            *conv(17, 18, 3), *conv(18, 19, 3), *head(19 * 3 * 2, 3),
        ],
    ),
    "winograd-first": (
        (12, 9, 11),
        lambda: [
            nn.Conv2d(12, 16, 5, padding=4), nn.MaxPool2d(2), nn.ReLU(), *head(16 * 6 * 7, 2),
        ],
    ),
    "winograd-no-relu": (
        (8, 10, 9),
        lambda: [
            nn.Conv2d(8, 18, 3, padding=1, bias=False), nn.MaxPool2d(2), *conv(18, 7, 2),
            *head(7 * 4 * 3, 4),
        ],
    ),
    "kernels-1-2": (
        (2, 7, 9),
        lambda: [
            Normalize([0.2, 0.6], [0.3, 0.5]), nn.Conv2d(2, 5, 1), nn.Conv2d(5, 7, 2, padding=1),
            nn.MaxPool2d(2), *head(7 * 4 * 5, 9, 6, 3, bias=False),
        ],
    ),
    "kernel-7": (
        (1, 18, 13),
        lambda: [*conv(1, 4, 1), nn.MaxPool2d(2), *conv(4, 19, 7, padding=4), *head(19 * 88, 3)],
    ),
    "three-convolutions": (
        (2, 9, 8),
        lambda: [
            *conv(2, 8, 2), nn.Conv2d(8, 20, 3, padding=1), *conv(20, 16, 3), nn.MaxPool2d(2),
            *head(16 * 3 * 2, 6, 3),
        ],
    ),
    "single-pixel": (
        (4, 1, 1), lambda: [*conv(4, 3, 3, padding=2), nn.MaxPool2d(2), *head(3, 2)],
    ),
    "dense": (
        (3, 5, 4),
        lambda: [Normalize([0.1, 0.5, 0.7], [0.3, 0.2, 0.4]), *head(60, 33, 17, 9)],
    ),
    "outputs": (  # panels of one width, of several, with a tail and without
        (1, 3, 5),
        lambda: [
            nn.Flatten(), nn.Linear(15, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(),
            nn.Linear(100, 50), nn.Linear(50, 18), nn.Linear(18, 16), nn.Linear(16, 19),
            nn.Linear(19, 1), nn.Linear(1, 10),
        ],
    ),
    "linear": ((1, 3, 5), lambda: [*head(15, 2, bias=False)]),
}  # fmt: skip

#: The same, with strides and poolings of their own, and of rows of features.
POOLING_NETWORKS = {
    "strides": (
        (2, 13, 16),
        lambda: [
            *conv(2, 5, 4, stride=2, padding=1), *conv(5, 18, 3, stride=2, padding=2),
            nn.MaxPool2d(2), nn.Conv2d(18, 4, 1, stride=3), *head(4, 7, 3),
        ],
    ),
    "strides-far": (  # rows, and columns, that no place of a kernel sees
        (3, 14, 11),
        lambda: [
            *conv(3, 6, 2, stride=3), *conv(6, 17, 5, stride=4, padding=4), *head(17 * 3 * 2, 4),
        ],
    ),
    "pools": (
        (2, 15, 14),
        lambda: [
            nn.MaxPool2d(3, 1, padding=1), *conv(2, 8, 3, padding=1), nn.MaxPool2d(3, 2),
            nn.AvgPool2d(2, 1, padding=1), *conv(8, 16, 3), nn.MaxPool2d(2), nn.MaxPool2d(2, 1),
            *head(16 * 2, 130, 3),
        ],
    ),
    "averages": (
        (3, 17, 12),
        lambda: [
            nn.AvgPool2d((3, 2), (2, 3), (1, 0), count_include_pad=False), nn.MaxPool2d(1, 2),
            *conv(3, 17, 3, padding=2), nn.AvgPool2d(2), *conv(17, 6, 2), nn.AdaptiveAvgPool2d(1),
            *head(6, 4),
        ],
    ),
    "strides-in-tiles": (  # with a row and a column that no tile sees
        (16, 17, 17), lambda: [*conv(16, 20, 4, stride=2), *head(20 * 49, 3)],
    ),
    "strides-in-tiles-padded": (
        (14, 10, 12),
        lambda: [
            nn.Conv2d(14, 20, 8, stride=2, padding=3), nn.AvgPool2d(2, 1),
            *head(20 * 20, 17, 3),
        ],
    ),
    "strides-in-small-tiles": (
        (2, 18, 20), lambda: [*conv(2, 5, 1), *conv(5, 20, 6, stride=2), *head(20 * 56, 4)],
    ),
    "strides-in-odd-tiles": (
        (3, 26, 14),
        lambda: [
            *conv(3, 8, 1), *conv(8, 20, 4, stride=2), *conv(20, 18, 4, stride=2, padding=2),
            *head(18 * 7 * 4, 3),
        ],
    ),
    "few-channels": (  # whose tiles go through an attack whole
        (7, 11, 10),
        lambda: [
            *conv(7, 9, 3, padding=2), nn.Conv2d(9, 8, 5, padding=2), *conv(8, 13, 3),
            *conv(13, 11, 3, padding=1), nn.AvgPool2d(3, 2), *head(11 * 5 * 4, 3),
        ],
    ),
    "features": ((41,), lambda: [nn.Linear(41, 30), nn.ReLU(), nn.Linear(30, 2)]),
}  # fmt: skip

#: The same, with convolutions that are not the plain ones, and poolings that reach over the edge.
GENERAL_NETWORKS = {
    "grouped": (
        (2, 11, 12),
        lambda: [
            nn.Conv2d(2, 8, (3, 2), stride=(1, 2), padding=(1, 0)),
            *conv(8, 8, 3, padding=1, groups=8),
            nn.MaxPool2d(2), *conv(8, 18, 3, padding=2, dilation=2, groups=2),
            nn.MaxPool2d(2, ceil_mode=True), *head(18 * 3 * 2, 4),
        ],
    ),
    "dilated": (
        (4, 13, 10),
        lambda: [
            *conv(4, 12, 3, stride=2, padding=2, dilation=2, groups=4),
            nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
            *conv(12, 6, (1, 3), stride=(2, 1), padding=(1, 4), dilation=(1, 3), groups=3),
            nn.AvgPool2d((2, 3), 2, ceil_mode=True, count_include_pad=False), *head(6 * 2 * 2, 3),
        ],
    ),
}  # fmt: skip

#: The same, of networks that do something else in train mode: attacks only.
EVAL_NETWORKS = {
    "batch-norm": (
        (2, 11, 12),
        lambda: [
            nn.Conv2d(2, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2),
            nn.Conv2d(8, 20, 3, padding=1), nn.BatchNorm2d(20, affine=False), nn.MaxPool2d(2),
            nn.ReLU(), nn.Flatten(), nn.Linear(20 * 4 * 5, 19, bias=False),
            nn.BatchNorm1d(19, eps=0.1), nn.ReLU(), nn.AlphaDropout(0.5), nn.Linear(19, 4),
            nn.BatchNorm1d(4),
        ],
    ),
    "norms-before": (  # linear layers that take in what normalises their inputs
        (2, 5, 6),
        lambda: [
            *conv(2, 5, 2), nn.Flatten(), nn.BatchNorm1d(100), nn.Linear(100, 18),
            nn.BatchNorm1d(18), nn.ReLU(), nn.BatchNorm1d(18, affine=False), nn.Dropout(0.5),
            nn.Linear(18, 7, bias=False), nn.ReLU(), nn.BatchNorm1d(7), nn.Linear(7, 3),
        ],
    ),
    "dropout": (
        (1, 6, 5),
        lambda: [
            *conv(1, 3, 3), nn.Dropout(0.5), nn.Dropout3d(0.5), *head(36, 7, 3),
            nn.FeatureAlphaDropout(0.5),
        ],
    ),
}  # fmt: skip

#: The same, with activations other than ReLU, and a ReLU that follows no convolution.
CURVE_NETWORKS = {
    "curves": (
        (2, 9, 8),
        lambda: [
            nn.Conv2d(2, 7, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Conv2d(7, 18, 3, padding=1),
            nn.Softplus(2.0), nn.AvgPool2d(2), nn.Tanh(), nn.ReLU(), nn.Flatten(), nn.Sigmoid(),
            nn.Linear(18, 131), nn.GELU(), nn.Linear(131, 6), nn.SiLU(), nn.Linear(6, 4),
        ],
    ),
    "more-curves": (
        (1, 6, 7),
        lambda: [
            nn.Conv2d(1, 6, 3), nn.ELU(1.5), nn.Conv2d(6, 4, 2), nn.GELU("tanh"), *head(48, 5),
            nn.Tanh(), nn.Linear(5, 9), nn.LeakyReLU(), nn.Linear(9, 8), nn.Softplus(),
            nn.Linear(8, 3),
        ],
    ),
}  # fmt: skip


class Block(nn.Module):
    """A residual block: ``after(body(x) + skip(x))``."""

    def __init__(self, body, skip=None, after=None):
        super().__init__()
        self.body, self.skip = nn.Sequential(*body), skip or nn.Identity()
        self.after = after or nn.Identity()

    def forward(self, x):
        return self.after(self.body(x) + self.skip(x))


class PreActivation(nn.Module):
    """Normalised and cut off first; where the shape changes, the skip begins behind that."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )  # fmt: skip
        if stride > 1 or inputs != outputs:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        out = self.first(x)
        skip = self.skip(out) if hasattr(self, "skip") else x
        return self.body(out) + skip


class OptionA(nn.Module):
    """Every second pixel, with channels of zeros."""

    def __init__(self, before, after):
        super().__init__()
        self.sides = (0, 0, 0, 0, before, after)

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], self.sides)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Many(nn.Module):
    """A value that five layers take, two of them additions."""

    def __init__(self, channels):
        super().__init__()
        self.narrow = nn.Conv2d(channels, channels, 1)
        self.wide = nn.Conv2d(channels, channels, 5, padding=2)

    def forward(self, x):
        return x + (x + self.narrow(x) + (F.avg_pool2d(x, 1) + torch.tanh(self.wide(x))))


#: The same, with branches; those that a train mode changes come second.
GRAPH_NETWORKS = {
    "residual": (
        (2, 10, 11),
        lambda: [
            *conv(2, 8, 3, padding=1),
            Block([*conv(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)], after=nn.ReLU()),
            Block(
                [*conv(8, 18, 3, stride=2, padding=1), nn.Conv2d(18, 18, 3, padding=1)],
                nn.Conv2d(8, 18, 1, stride=2), nn.ReLU(),
            ),
            Block([*conv(18, 6, 1), nn.Conv2d(6, 18, 1)]),
            *head(18 * 5 * 6, 130, 5),
        ],
    ),
    "option-a": (
        (3, 9, 8),
        lambda: [
            Block([*conv(3, 3, 3, padding=1)]),
            Block(
                [*conv(3, 17, 3, stride=2, padding=1), nn.Conv2d(17, 17, 3, padding=1)],
                OptionA(6, 8), nn.ReLU(),
            ),
            nn.ZeroPad2d((1, 0, 2, 1)), *conv(17, 8, 3), Mean(), nn.Linear(8, 3),
        ],
    ),
    "shifts": (  # whose branches give rows before they take those of the same number, and after
        (2, 8, 6),
        lambda: [
            *conv(2, 5, 3, padding=1),
            Block([nn.ZeroPad2d((0, 0, 8, 0)), nn.Conv2d(5, 5, 1, stride=(2, 1))]),
            Block([nn.ZeroPad2d((0, 0, 0, 8)), nn.Conv2d(5, 5, 1, stride=(2, 1)), nn.Tanh()]),
            Block([nn.Conv2d(5, 4, 1, padding=1), nn.Conv2d(4, 5, 3)]), *head(240, 3),
        ],
    ),
    "standing": (  # whose branches are done with a row before the sum takes its place, or are not
        (3, 14, 8),
        lambda: [
            *conv(3, 11, 3, padding=1),
            Block([*conv(11, 11, 3, padding=1), nn.Conv2d(11, 11, 3, padding=1)], after=nn.ReLU()),
            Block([*conv(11, 11, 3, padding=1), nn.Conv2d(11, 11, 1)]),
            Block([nn.AvgPool2d(3, 1, padding=1), nn.Conv2d(11, 11, 3, padding=1)]),
            Block([*conv(11, 11, 5, padding=2), nn.Conv2d(11, 11, 3, padding=1)]),
            Block([*conv(11, 11, 3), nn.Conv2d(11, 11, 3, padding=2)]),
            Block([nn.AvgPool2d(3, 1, padding=1)]), nn.MaxPool2d(2), *head(11 * 7 * 4, 3),
        ],
    ),
    "standing-tiles": (  # as in all ResNets
        (3, 14, 8),
        lambda: [
            *conv(3, 12, 3, padding=1),
            Block([*conv(12, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)], after=nn.ReLU()),
            Block([*conv(12, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)]), nn.ReLU(),
            *head(12 * 14 * 8, 3),
        ],
    ),
    "standing-wide": (  # the same of more channels, and two branches
        (3, 10, 8),
        lambda: [
            *conv(3, 20, 3, padding=1),
            Block([*conv(20, 20, 3, padding=1), nn.Conv2d(20, 20, 3, padding=1)], after=nn.ReLU()),
            Block([*conv(20, 20, 3, padding=1), nn.Conv2d(20, 20, 1)]),
            Block([nn.Conv2d(20, 20, (1, 3), padding=(0, 1), groups=2)]),
            Block([nn.Tanh(), nn.Conv2d(20, 20, 3, padding=1, groups=4), nn.ReLU()]),
            Block(conv(20, 20, 3, padding=1), nn.Conv2d(20, 20, 5, padding=2)),
            Block([nn.Conv2d(20, 22, 3, 2, padding=1)], nn.Conv2d(20, 22, 1, 2)),
            *head(22 * 5 * 4, 3),
        ],
    ),
    "many": (  # the image, too
        (2, 7, 6),
        lambda: [Many(2), *conv(2, 5, 3, padding=1), Many(5), nn.MaxPool2d(2), *head(45, 3)],
    ),
    "nested": (  # a skip over skips, and branches that end in different orders
        (2, 8, 7),
        lambda: [
            nn.Conv2d(2, 4, 3, padding=1),
            Block(
                [
                    nn.Tanh(), Block([*conv(4, 4, 5, padding=2)], nn.Conv2d(4, 4, 1)),
                    Block([nn.Sigmoid()], nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
                ],
                nn.Sequential(nn.AvgPool2d(3, 1, padding=1), nn.Conv2d(4, 4, 5, padding=2)),
            ),
            nn.ReLU(), nn.MaxPool2d(2), *head(4 * 4 * 3, 4),
        ],
    ),
}  # fmt: skip
EVAL_GRAPH_NETWORKS = {
    "pre-activation": (
        (3, 9, 9),
        lambda: [
            nn.Conv2d(3, 8, 3, padding=1, bias=False), PreActivation(8, 8, 1),
            PreActivation(8, 16, 2), PreActivation(16, 16, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), *head(16, 4),
        ],
    ),
    "norms": (  # of the image, behind an activation and a pooling, and of a value taken twice
        (2, 8, 9),
        lambda: [
            nn.BatchNorm2d(2), *conv(2, 6, 3, padding=1), nn.BatchNorm2d(6, affine=False),
            nn.AvgPool2d(2), nn.BatchNorm2d(6),
            Block([nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1)]),
            Block([nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)], nn.BatchNorm2d(6), nn.ReLU()),
            *head(6 * 4 * 4, 130, 3),
        ],
    ),
}  # fmt: skip

#: One layer of each kind that tiles do not have, for what takes long: an instrumented kernel.
EVERY_KIND = {
    "every-kind": (
        (2, 15, 16),
        lambda: [
            nn.Conv2d(2, 5, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
            nn.MaxPool2d(3, 1, padding=1),
            nn.Conv2d(5, 10, (3, 2), stride=(1, 2), padding=(1, 0), groups=5), nn.Softplus(2.0),
            *conv(10, 18, 3, padding=2, dilation=2, groups=2), nn.AvgPool2d(2, ceil_mode=True),
            nn.Tanh(), nn.ReLU(),
            Block(
                [*conv(18, 20, 3, stride=2, padding=1), nn.Conv2d(20, 20, 3, padding=1)],
                OptionA(1, 1), nn.ReLU(),
            ),
            nn.ZeroPad2d((1, 0, 2, 1)), nn.Sigmoid(), nn.Conv2d(20, 8, 2), nn.ELU(1.5), Mean(),
            nn.Linear(8, 19), nn.GELU(), nn.Linear(19, 6), nn.SiLU(), nn.Linear(6, 3),
        ],
    ),
}  # fmt: skip

ALL = (
    GENERAL_NETWORKS
    | EVERY_KIND
    | GRAPH_NETWORKS
    | EVAL_GRAPH_NETWORKS
    | NETWORKS
    | POOLING_NETWORKS
    | CURVE_NETWORKS
    | EVAL_NETWORKS
)


def network(name, seed=0):
    """A network of `ALL` with random weights and statistics."""
    torch.manual_seed(seed)
    model = nn.Sequential(*ALL[name][1]())
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.2, 2)
            if layer.affine:
                nn.init.uniform_(layer.weight, -1.5, 1.5)
                nn.init.uniform_(layer.bias, -0.5, 0.5)
    return model


def shape_of(name):
    """An image's shape."""
    return ALL[name][0]
