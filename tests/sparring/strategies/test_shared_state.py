"""Rank 0's whole state is everybody's: buffers of any dtype, and the optimizer's momentum."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from tests.mpi import run_ranks

PROGRAM = Path(__file__).with_name("state_ranks.py")


def test_all_ranks_end_with_the_network_that_rank_0_began_with():
    output = run_ranks(3, [str(PROGRAM)])
    ranks = json.loads(output.split("FACTS", 1)[1].splitlines()[0])
    assert len(ranks[0]) == 5
    for strategy, first in ranks[0].items():
        for rank in ranks:
            assert rank[strategy]["logits"] == first["logits"], strategy
            assert rank[strategy]["state"] == first["state"], strategy
            assert rank[strategy]["ended"] == first["began"], strategy
            if "data_parallel" in strategy:  # the others' optimizers take no steps
                assert rank[strategy]["momentum"] == first["momentum"], strategy
            assert rank[strategy]["seen"] == first["seen"] >= 4


def bits(tensor):
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_weights_hold_every_buffer_bit_for_bit(dtype):
    def compute_of(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).to(dtype)
        model.register_buffer("bits", torch.randint(-(2**62), 2**62, (3,)))
        model.register_buffer("flags", torch.rand(5) > 0.5)
        model.register_buffer("wide", torch.rand(2, 2, dtype=torch.float64) * torch.nan)
        model.register_buffer("narrow", torch.rand(3, 2, dtype=torch.bfloat16).T[1])
        model.register_buffer("empty", torch.zeros(0, dtype=torch.int32))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        data = sparring.data.load("mnist-5k")
        return sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1)).compute

    one, other = compute_of(1), compute_of(2)
    weights = np.full(one.weight_count, np.nan, one.dtype)
    one.read_weights(weights)
    other.write_weights(weights)
    expected = one.model.state_dict()
    for name, found in other.model.state_dict().items():
        assert bits(found) == bits(expected[name]), name
    again = np.empty_like(weights)
    other.read_weights(again)
    assert again.tobytes() == weights.tobytes()
