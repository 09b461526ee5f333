"""Gradients as factors: what ranks write for an update, and add up, is the gradient."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from sparring.fused.engine import Engine
from sparring.fused.library import pointers
from tests.sparring.fused.fused_references import error

NETWORKS = {
    # A tail of two outputs, more rows than a panel, an image row of several pixels.
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 7, 50), nn.ReLU(),
            nn.Linear(50, 10),
        ),
        (1, 10, 9),
    ),
    # Panels, one of which has padding; layers of nearly one size, all of them in factors.
    "linear": (
        lambda: nn.Sequential(
            nn.Linear(30, 141), nn.ReLU(), nn.Linear(141, 67), nn.ReLU(), nn.Linear(67, 35)
        ),
        (30,),
    ),
    # Values that are kept, strides: the wide layout alone.
    "wide": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 4 * 4, 23),
            nn.GELU(), nn.Linear(23, 7),
        ),
        (2, 9, 9),
    ),
}  # fmt: skip


@pytest.fixture(
    scope="module",
    params=["convolutions-native", "convolutions-avx2", "linear-native", "wide-avx2"],
)
def case(request):
    name, isa = request.param.split("-")
    make, shape = NETWORKS[name]
    with pytest.MonkeyPatch.context() as patch:
        if isa != "native":
            patch.setenv("SPARRING_ISA", isa)
        torch.manual_seed(0)
        engine = Engine(make(), shape)
    assert engine.factor_room >= 8
    return engine, shape


def images(engine, shape, count):
    generator = torch.Generator().manual_seed(count)
    x = torch.rand((count, *shape), generator=generator)
    return x, torch.randint(0, engine.network.classes, (count,), generator=generator)


def spread(engine, x, y, shares, in_factors):
    """Every rank's packed tensor, images in factors, and the loss of all."""
    rows, factors, loss, at = [], [], 0.0, 0
    for share, wanted in zip(shares, in_factors, strict=True):
        row = torch.full((engine.space.size,), float("nan"))
        part = slice(at, at + share)
        loss += engine.gradients(x[part], y[part], 1 / len(x), row, factors=wanted)
        rows.append(row)
        factors.append(share if wanted else -1)
        at += share
    return rows, factors, loss


def added(engine, rows, factors, parts):
    """Their sum, in so many parts of whole cache lines."""
    size = engine.space.size
    ends = [size * part // parts // 16 * 16 for part in range(parts)] + [size]
    out = torch.full((size,), float("nan"))
    for begin, end in pairwise(ends):
        engine.add_ranks(pointers(rows), factors, slice(begin, end), out)
    return out


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("shares", "in_factors"),
    [
        ((1, 2, 4), (True, True, True)),
        ((8, 3), (True, False)),
        ((5, 8, 8), (False, False, False)),
        ((8,), (True,)),
    ],
)
def test_the_sum_is_the_gradient(case, shares, in_factors, threads):
    engine, shape = case
    torch.set_num_threads(threads)
    try:
        x, y = images(engine, shape, sum(shares))
        wanted = engine.space.zeros()
        wanted_loss = engine.gradients(x, y, 1 / len(x), wanted)
        rows, factors, loss = spread(engine, x, y, shares, in_factors)
        assert loss == pytest.approx(wanted_loss, rel=1e-6)
        for parts in (1, 2, 7, 32):
            found = added(engine, rows, factors, parts)
            assert error(found, wanted) < 1e-5
            assert torch.equal(found == 0, wanted == 0)  # what is between the weights, too
        again, _, _ = spread(engine, x, y, shares, in_factors)
        assert torch.equal(added(engine, again, factors, 7), found)  # bit for bit, however parted
    finally:
        torch.set_num_threads(1)


def test_factors_are_fewer_numbers_than_the_gradient(case):
    engine, shape = case
    x, y = images(engine, shape, engine.factor_room)
    row = torch.full((engine.space.size,), float("nan"))
    engine.gradients(x, y, 1.0, row, factors=True)
    assert engine.factor_size * engine.factor_room <= engine.space.size
    wanted = engine.space.zeros()
    engine.gradients(x, y, 1.0, wanted)
    assert error(added(engine, [row], [len(x)], 3), wanted) < 1e-5


def test_an_image_that_is_no_number_spoils_no_padding(case):
    engine, shape = case
    x, y = images(engine, shape, 3)
    x[1] = np.nan
    wanted = engine.space.zeros()
    engine.gradients(x, y, 1.0, wanted)
    rows, factors, _ = spread(engine, x, y, (1, 2), (True, True))
    found = added(engine, rows, factors, 3)
    assert found.isnan().any()
    between = wanted == 0
    assert torch.equal(found[between], wanted[between])


@pytest.mark.parametrize("count", [0, 1000])
def test_factors_without_room_are_refused(case, count):
    engine, shape = case
    x, y = images(engine, shape, count)
    with pytest.raises(ValueError, match=f"have room, not of {count}"):
        engine.gradients(x, y, 1.0, engine.space.zeros(), factors=True)
