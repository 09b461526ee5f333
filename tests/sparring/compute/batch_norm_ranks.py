"""Train networks with normalisation on each rank; rank 0 prints what came of it, as JSON.

Each case is trained under a strategy by all ranks, and in sequence by rank 0 alone.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI
from torch import nn

import sparring
from sparring.errors import SparringError
from sparring.strategies import DataParallel, Pipeline
from sparring.strategies.replay import Replay, load_arrivals

WORLD = MPI.COMM_WORLD


class Own(nn.BatchNorm1d):
    """A normalisation that somebody changed."""


def convolutional(norm1, norm2):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), norm1, nn.ReLU(), nn.Conv2d(4, 3, 3, stride=2),
        nn.ReLU(), nn.Flatten(), nn.Linear(27, 6), norm2, nn.ReLU(), nn.Linear(6, 3),
    )  # fmt: skip


def batch_norms():
    return convolutional(nn.BatchNorm2d(4), nn.BatchNorm1d(6))


def bare():
    return convolutional(nn.BatchNorm2d(4, momentum=None), nn.BatchNorm1d(6, affine=False))


def frozen():
    model = batch_norms()
    model[1].eval()
    return model


def by_image():
    return convolutional(
        nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)), nn.LayerNorm(6)
    )


def trained(make, strategy, comm, *, batch=7, updates=4, arrivals=None, strength=False):
    """Flat weights and buffers, whether all ranks have the same, and the strengths of batches."""
    torch.manual_seed(3)
    model = make().double()
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(18, 1, 9, 9, generator=draw, dtype=torch.float64).float()
    labels = torch.arange(18) % 3
    trainer = sparring.Trainer(
        model, torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5), (images, labels),
        sparring.PGD(epsilon=0.2, step_size=0.1, steps=2), strategy, batch_size=batch, comm=comm,
    )  # fmt: skip
    history = trainer.fit(updates=updates, arrivals=arrivals, record_strength=strength)
    flat = torch.cat([tensor.double().reshape(-1) for tensor in model.state_dict().values()])
    same = len(set(comm.allgather(flat.numpy().tobytes()))) == 1
    return flat.numpy(), same, [record.made_loss for record in history.records]


def compare(make, strategy, **options):
    found, same, made = trained(make, strategy, WORLD, **options)
    expected, _, exact = trained(make, "sequential", MPI.COMM_SELF, **options)
    apart = float(np.abs(found - expected).max())
    gap = float(np.abs(np.subtract(made, exact)).max()) if options.get("strength") else 0.0
    return {"apart": apart, "same": same, "strength": gap}


def pipeline(folder):
    """Two trainers and a generator: the same numbers as a replay of it on one process."""
    file = folder / "arrivals.json"
    options = {"refresh_steps": 1}
    strategy = Pipeline(trainers=2, **options)
    found, same, _ = trained(batch_norms, strategy, WORLD, arrivals=file)
    if WORLD.rank > 0:
        return None
    replay = Replay(load_arrivals(file), trainers=2, **options)
    expected, _, _ = trained(batch_norms, replay, MPI.COMM_SELF)
    return {"apart": float(np.abs(found - expected).max()), "same": same}


def refused(norm, strategy):
    try:
        trained(lambda: convolutional(nn.Identity(), norm), strategy, WORLD)
    except SparringError as error:
        return str(error)
    return "nothing refused"


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = WORLD.bcast(tempfile.mkdtemp() if WORLD.rank == 0 else None)
    found = {
        "whole": compare(batch_norms, DataParallel(), strength=True),
        "early": compare(batch_norms, DataParallel(overlap=True)),
        "bare": compare(bare, DataParallel()),
        "frozen": compare(frozen, DataParallel()),
        "few": compare(batch_norms, DataParallel(), batch=2, strength=True),
        "by image": compare(by_image, DataParallel()),
        "local": compare(batch_norms, DataParallel(batch_norm="local"), batch=6),
        "pipeline": pipeline(Path(folder)),
        "own": refused(Own(6), "data_parallel"),
        "own, sharded": refused(Own(6), "sharded"),
        "untracked": refused(nn.BatchNorm1d(6, track_running_stats=False), "data_parallel"),
        "untracked, sharded": refused(nn.BatchNorm1d(6, track_running_stats=False), "sharded"),
    }
    if WORLD.rank == 0:
        print(json.dumps(found))
        for path in Path(folder).iterdir():
            path.unlink()
        Path(folder).rmdir()
