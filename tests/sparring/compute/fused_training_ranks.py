"""Rank program of test_fused_training: two strategies on the fused engine, one after the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import sparring
from sparring.attacks import PGD
from sparring.networks import Normalize

#: Of `small`.
SHAPE, CLASSES = (1, 12, 10), 6


def small(seed=0):
    """The network of the tests that need one fully optimised kernel, with a seed's weights."""
    torch.manual_seed(seed)
    return nn.Sequential(
        Normalize(0.3, 0.4), nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(5, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 4 * 3, 20), nn.ReLU(),
        nn.Linear(20, CLASSES),
    )  # fmt: skip


def arrays(count):
    """Images and labels."""
    random = np.random.default_rng(7)
    return random.random((count, *SHAPE), np.float32), random.integers(0, CLASSES, count)


def weights_of(compute):
    """The flat weights."""
    weights = np.empty(compute.weight_count, compute.dtype)
    compute.read_weights(weights)
    return weights


def main(arrivals, folder):
    from sparring.strategies.replay import save_arrivals

    torch.set_num_threads(1)
    facts = {"backends": []}
    for strategy, updates in (("data_parallel", 4), ("pipeline", 9)):
        model = small()
        attack = PGD(
            epsilon=0.2, step_size=0.3, steps=4, norm="l2", random_start=True, backend="fused"
        )
        trainer = sparring.Trainer(
            model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5), arrays(50), attack,
            strategy, batch_size=20, backend="fused",
        )  # fmt: skip
        history = trainer.fit(updates=updates)
        facts["backends"] += trainer.comm.allgather(trainer.compute.backend)
        if trainer.comm.rank == 0:
            np.save(folder / f"{strategy}.npy", weights_of(trainer.compute))
            if strategy == "pipeline":
                save_arrivals(arrivals, history.records)
            else:
                facts["losses"] = [record.loss for record in history.records]
    if trainer.comm.rank == 0:
        print("FACTS" + json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
