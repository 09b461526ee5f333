"""Operations of the engine's stages, against what the engine itself counts (``counting.cpp``)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kernels.counts.accounting import attack_step
from kernels.counts.dense_rows import Rows
from kernels.counts.sparsity import alive
from kernels.counts.tile import groups
from kernels.counts.weight_work import gradients
from kernels.counts.work import ALL, TILE_BLOCK, Shape, objective
from sparring.errors import SparringError
from sparring.fused.layouts import layouts
from sparring.fused.recognise import recognise
from sparring.fused.winograd import uses_winograd, winograd_points
from sparring.networks import Normalize
from tests.kernels.counts.counted import Counting, generic
from tests.sparring.fused.fused_networks import conv, head

#: Name to (image shape, layers).
NETWORKS = {
    "study": ((1, 12, 12), lambda: [*conv(1, 10, 3), *conv(10, 20, 5), *head(720, 18, 10)]),
    "pooled": (
        (1, 13, 11),
        lambda: [
            Normalize((0.1,), (0.3,)), *conv(1, 10, 3, padding=1), nn.MaxPool2d(2),
            *conv(10, 12, 3, padding=1), nn.MaxPool2d(2), *head(72, 150, 7),
        ],
    ),
    "no-relu": (
        (10, 9, 17),
        lambda: [nn.Conv2d(10, 12, 5, padding=4), nn.Conv2d(12, 3, 2), *head(720, 5)],
    ),
    "tiles": (
        (10, 8, 7),
        lambda: [
            nn.Conv2d(10, 18, 3, padding=1), nn.Conv2d(18, 20, 3, padding=2), *conv(20, 17, 4),
            *conv(17, 18, 3), *conv(18, 19, 3), *head(114, 5),
        ],
    ),
    "dense": ((1, 4, 5), lambda: head(20, 33, 35, 3)),
}  # fmt: skip


def counting(name, layout, lanes, images):
    shape, layers = NETWORKS[name]
    torch.manual_seed(0)
    model = nn.Sequential(*layers()).eval()
    x, labels, isa = torch.rand(images, *shape), torch.arange(images) % 3, generic(lanes)
    counted = Counting(model, x, labels, layout, isa)
    kind = {kind.name: kind for kind in layouts(isa)}[layout]
    shape = Shape.of(kind, isa, counted.network, images, 1)
    return counted, shape, alive(model, counted.network, counted.parameters, x, labels, shape)


def numbers_alone(network, layer, alive, images, lanes):
    """Operations of an image, in a stage of many vectors, that are on single numbers."""
    if layer == 0:
        return objective(network.classes) + (3 * network.pixels if network.std else 0)
    number = layer - len(network.convolutions) - 1
    together = sum(group.images * groups.padded(group, lanes) for group in alive[number].groups)
    apart = sum(group.apart for group in alive[number].groups)
    listed = alive[number].listed + (apart - together) / images
    return (len(Rows.of(network.dense[number], 16).widths) - 1) * listed


def test_the_networks_have_tiles_of_every_size():
    points = {
        winograd_points(layer)
        for shape, layers in NETWORKS.values()
        for layer in recognise(nn.Sequential(*layers()), shape).network.convolutions
    }
    assert points == {0, 5, 6, 7, 8}


@pytest.mark.parametrize(
    ("name", "lanes", "images"),
    [("study", 4, 1), ("study", 16, 9), ("study", 16, 12), ("pooled", 8, 1), ("pooled", 8, 10),
     ("pooled", 16, 2), ("no-relu", 8, 2), ("no-relu", 16, 3), ("tiles", 8, 2), ("dense", 4, 3),
     ("dense", 16, 7)],
)  # fmt: skip
def test_tiles_do_what_is_counted(name, lanes, images):
    counted, shape, matters = counting(name, "tile", lanes, images)
    network = counted.network
    assert counted.library.block == TILE_BLOCK
    expected = {
        (work.layer, work.direction, work.kind): work.flops
        for work in attack_step(network, shape, images, 1, matters)
        if work.kind != ALL and work.flops
    }
    for layer, direction, kind in expected:
        if layer == 0 or (layer > len(network.convolutions) and direction == "backward"):
            alone = images * numbers_alone(network, layer, matters, images, lanes)
            expected[layer, direction, kind] -= alone
    assert counted.step() == pytest.approx(expected, abs=1e-3)
    # Also alone: two operations on each pixel that is normalised, the sums of dense layers'
    # biases, and those of channels that do not fill a vector.
    alone = objective(network.classes) + (2 * network.pixels if network.std else 0)
    alone += sum(layer.outputs for layer in network.dense)
    for layer in range(len(network.convolutions) + 1, len(matters) + len(network.convolutions) + 1):
        if layer > 1:  # the image's gradient is not wanted
            alone += numbers_alone(network, layer, matters, images, lanes)
    for layer in network.convolutions:
        if uses_winograd(layer):
            alone += winograd_points(layer) ** 2 * layer.in_channels * (layer.out_channels % lanes)
    expected = gradients(network, shape, images, matters) - images * alone
    assert counted.gradients() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "lanes"), [("study", 8), ("pooled", 8), ("no-relu", 4), ("tiles", 8)]
)
def test_wide_convolutions_do_what_is_counted(name, lanes):
    counted, shape, matters = counting(name, "wide", lanes, 2 * lanes)
    network = counted.network
    expected = {
        (work.layer, work.direction, work.kind): work.flops
        for work in attack_step(network, shape, 2 * lanes, 1, matters)
        if work.kind != ALL and work.flops and work.layer <= len(network.convolutions)
    }
    expected[0, "forward", "other"] -= 2 * lanes * objective(network.classes)
    found = counted.step()
    assert {key: found[key] for key in found if key[0] <= len(network.convolutions)} == expected


@pytest.mark.parametrize(
    "layers",
    [
        [*conv(1, 3, 3, stride=2), *head(27, 3)],
        [*conv(1, 4, 3, padding=1), nn.AvgPool2d(2), *head(36, 3)],
        [nn.Flatten(), nn.Linear(49, 4), nn.Tanh(), nn.Linear(4, 3)],
    ],
)
def test_what_is_not_counted_is_said_to_be(layers):
    network = recognise(nn.Sequential(*layers), (1, 7, 7)).network
    with pytest.raises(SparringError, match="are not counted"):
        attack_step(network, Shape("wide", 8, 8), 8, 1, [])
