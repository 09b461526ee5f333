"""Normalisation layers where ranks share each minibatch: the numbers stay sequential's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparring.attacks import FGSM
from sparring.batches import Batches
from sparring.compute.batch_norm import synchronized
from sparring.compute.pytorch import TorchCompute
from sparring.data.arrays import as_split
from sparring.errors import SparringError
from sparring.strategies import DataParallel, Pipeline
from tests.mpi import run_ranks


@pytest.fixture(scope="module")
def ranks():
    """What three ranks found: minibatches of 7 are shares of 3, 2 and 2; of 2, one is empty."""
    program = str(Path(__file__).with_name("batch_norm_ranks.py"))
    return json.loads(run_ranks(3, [program]).splitlines()[-1])


@pytest.mark.parametrize("case", ["whole", "early", "bare", "frozen", "few", "by image"])
def test_weights_and_statistics_are_those_of_sequential_training(ranks, case):
    found = ranks[case]
    assert found["same"]
    assert found["apart"] < 1e-12
    assert found["strength"] < 1e-12


def test_trainers_of_a_pipeline_synchronise_as_well(ranks):
    assert ranks["pipeline"]["same"]
    assert ranks["pipeline"]["apart"] < 1e-12


def test_local_statistics_part_from_sequential_training_and_not_from_each_other(ranks):
    assert ranks["local"]["same"]
    assert ranks["local"]["apart"] > 1e-4


def test_what_cannot_be_synchronised_is_refused(ranks):
    assert "layer 7 (Own) is not one of PyTorch's BatchNorm1d" in ranks["own"]
    assert ranks["own"].endswith("; expected strategy 'sharded', or 'pipeline' with one trainer")
    assert ranks["own, sharded"] == "nothing refused"


@pytest.mark.parametrize("case", ["untracked", "untracked, sharded"])
def test_attacks_on_shares_need_running_statistics(ranks, case):
    assert "layer 7 (BatchNorm1d) keeps no running statistics" in ranks[case]
    assert ranks[case].endswith("; expected strategy 'pipeline' with one trainer")


class Alone:
    """The one rank that there is."""

    def gather(self, own):
        return own[None].copy()

    def take_first(self, array):
        pass


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.BatchNorm1d(3), (4, 3)), (nn.BatchNorm1d(3, momentum=None), (4, 3, 5)),
     (nn.BatchNorm2d(3, affine=False), (2, 3, 4, 4)), (nn.BatchNorm3d(3), (2, 3, 2, 2, 2))],
)  # fmt: skip
def test_one_rank_computes_what_pytorch_does(layer, shape):
    draw = torch.Generator().manual_seed(0)
    layer = layer.double()
    twin = type(layer)(3, momentum=layer.momentum, affine=layer.affine).double()
    x, other = (3 + 2 * torch.randn(shape, generator=draw.manual_seed(0), dtype=torch.float64)
                for _ in range(2))  # fmt: skip
    weights = torch.randn(shape, generator=draw, dtype=torch.float64)
    with synchronized(layer, Alone()):
        for _ in range(2):
            y = layer(x.requires_grad_())
    expected = twin(twin(other.requires_grad_()) * 0 + other)
    assert torch.allclose(y, expected, rtol=1e-12)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.allclose(x.grad, other.grad, rtol=1e-9, atol=1e-12)
    for mine, theirs in zip(layer.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12)
    for mine, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9)
    assert "forward" not in vars(layer)  # it is itself again


def test_a_single_value_a_channel_is_refused_as_pytorch_does():
    layer = nn.BatchNorm1d(3)
    with synchronized(layer, Alone()), pytest.raises(ValueError, match="more than one value"):
        layer(torch.zeros(1, 3))


def test_a_share_that_is_too_small_for_local_statistics_is_told():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3))
    split = as_split((torch.rand(8, 1, 2, 2), torch.arange(8) % 3))
    compute = TorchCompute(
        model, split, Batches(8, 4, 0), FGSM(epsilon=0.1),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    )  # fmt: skip
    compute.join(Alone(), "local")
    out = np.empty(compute.gradient_count, np.float32)
    with pytest.raises(SparringError, match="one of batch 0 has 1 of 4 images; 'synchronized'"):
        compute.gradients(compute.attack(0, slice(0, 1)), out)


@pytest.mark.parametrize("strategy", [DataParallel, Pipeline])
def test_option_is_checked(strategy):
    with pytest.raises(ValueError, match="batch_norm must be 'synchronized' or 'local', not 'no'"):
        strategy(batch_norm="no")
