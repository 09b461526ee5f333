"""Rank program of test_recipes: each recipe under each strategy, on all ranks of the job."""

from __future__ import annotations

import json

import numpy as np
import torch
from mpi4py import MPI
from torch import nn

from sparring import recipes

UPDATES = 6
STRATEGIES = ("pipeline", "sharded", "data_parallel")


def small_model():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def small_data(count=40):
    generator = torch.Generator().manual_seed(5)
    images = torch.rand((count, 1, 4, 4), generator=generator, dtype=torch.float64)
    return images, torch.arange(count) % 3


def train(name, strategy):
    """Weights after training, and how many updates there were."""
    recipe = recipes.RECIPES[name](UPDATES).with_changes(batch_size=16)
    trainer = recipe.trainer(small_model(), small_data(), strategy)
    history = trainer.fit(updates=UPDATES)
    found = np.empty(trainer.compute.weight_count, trainer.compute.dtype)
    trainer.compute.read_weights(found)
    return found.tolist(), len(history.records)


def main() -> None:
    told = {f"{name} {strategy}": train(name, strategy)
            for name in recipes.RECIPES for strategy in STRATEGIES}  # fmt: skip
    if MPI.COMM_WORLD.rank == 0:
        print("RESULT" + json.dumps(told), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
