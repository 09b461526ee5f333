"""Which of equal pixels under a max-pooling gets the gradient, where Winograd rounds them apart."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring import data
from sparring.fused import machine
from sparring.fused.building.build import build
from sparring.fused.engine import OBJECTIVE_NUMBERS, SOURCE
from sparring.fused.header import header
from sparring.fused.layouts import layouts
from sparring.fused.recognise import recognise
from sparring.fused.winograd import winograd_points
from tests.sparring.fused.fused_networks import conv, head
from tests.sparring.fused.fused_references import Kernel

IMAGES = 2000
MARGIN = 0.005  # of the images, beyond PyTorch's float32: Winograd rounds ten times as coarsely
WRONG = 1e-3  # of an image's largest gradient: a pixel took another's, rounding is a thousandth


def input_gradients(model, x, y):
    found = []
    for some, labels in zip(x.split(50), y.split(50), strict=True):  # as many as the caches hold
        some = some.clone().requires_grad_()
        loss = F.cross_entropy(model(some), labels, reduction="sum")
        found += torch.autograd.grad(loss, some)
    return torch.cat(found)


def share_of_wrong(gradients, exact):
    error = (gradients.double() - exact).abs().amax((1, 2, 3))
    return (error > WRONG * exact.abs().amax((1, 2, 3))).double().mean().item()


#: Side of the kernel before the pooling, to the points of its tiles.
POINTS = {3: 8, 4: 7}


@cache
def model(kernel):
    torch.manual_seed(0)
    pooled = [*conv(1, 7, 3), *conv(7, 13, kernel), nn.MaxPool2d(2), *conv(13, 5, 3)]
    side = (26 + 1 - kernel) // 2 - 2
    return nn.Sequential(*pooled, *head(5 * side**2, 30, 10))


KINDS = [(isa, kind) for isa in machine._offered().values() for kind in layouts(isa)]
#: 7 points by the widest vectors alone: each kind takes a while, and narrower ones round alike.
CASES = [(isa, kind, 3) for isa, kind in KINDS] + [
    (isa, kind, 4) for isa, kind in KINDS if isa == KINDS[0][0]
]


def named(case):
    isa, kind, kernel = case
    return f"{isa.name}-{kind.name}-{kernel}"


@pytest.fixture(scope="module", params=CASES, ids=named)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def kernel(case):
    return case[2]


@pytest.fixture(scope="module")
def library(case):
    isa, kind, kernel = case
    known = recognise(model(kernel), (1, 28, 28))
    assert winograd_points(known.network.convolutions[1]) == POINTS[kernel]
    text = {"network.h": header(known.network, updates=False)}
    library = Kernel(build(SOURCE, text, dict(kind.defines), isa))
    library.load(known.parameters)
    return library


def images(kind):
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(IMAGES, 1, 28, 28, generator=generator)
    if kind == "random":
        return noise
    digits = torch.from_numpy(data.load("mnist-5k").train.images(slice(IMAGES)))
    if kind == "on black":
        return digits
    if kind == "on grey":  # of another brightness in each image
        return digits / 2 + noise[:, :, :1, :1] / 2
    return digits / 2 + noise[:, :, :, :1] / 2  # stripes: only neighbours in a row are equal


@cache
def references(kernel, kind):
    """Images, labels, float64's gradients, and the share of images where float32's are wrong."""
    x, y = images(kind).contiguous(), torch.arange(IMAGES) % 10
    exact = input_gradients(copy.deepcopy(model(kernel)).double(), x.double(), y)
    return x, y, exact, share_of_wrong(input_gradients(model(kernel), x, y), exact)


@pytest.mark.parametrize("kind", ["random", "on black", "on grey", "on stripes"])
def test_no_more_images_go_wrong_than_in_pytorch(library, kernel, kind, record_property):
    x, y, exact, pytorch = references(kernel, kind)
    ours = torch.empty_like(x)
    library.input_gradient(x, y, ours, OBJECTIVE_NUMBERS["cross_entropy"], 1)
    wrong = share_of_wrong(ours, exact)
    record_property("shares", (wrong, pytorch))
    assert wrong <= pytorch + MARGIN
