"""A ResNet-20 with batch normalisation: DDP with torchattacks beside data_parallel, in turns.

    mpiexec -n 2 python benchmarks/ddp_comparison.py [ROUNDS [UPDATES]]

`train_ddp` is what one writes with PyTorch alone: DistributedDataParallel over gloo, each rank's
share of the minibatch attacked by torchattacks (`make peers`) in eval mode. Both train on the same
images with one thread a rank; seconds are the slowest rank's. Statistics are local in DDP, and the
whole minibatch's in data_parallel.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torchattacks
from mpi4py import MPI
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import sparring
from sparring.networks import build

COMM = MPI.COMM_WORLD
BATCH, EPSILON, STEP, STEPS = 64, 0.1, 0.025, 5


def train_ddp(images: torch.Tensor, labels: torch.Tensor, updates: int) -> Callable[[], None]:
    """Adversarial training as one writes it with PyTorch alone; what trains so many updates."""
    model = build("resnet20", 0)
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    attack = torchattacks.PGD(model, eps=EPSILON, alpha=STEP, steps=STEPS)
    share = slice(COMM.rank * BATCH // COMM.size, (COMM.rank + 1) * BATCH // COMM.size)

    def run() -> None:
        for number in range(updates):
            which = torch.arange(number * BATCH, (number + 1) * BATCH)[share] % len(labels)
            x, y = images[which], labels[which]
            model.eval()
            adversaries = attack(x, y)
            model.train()
            optimizer.zero_grad()
            cross_entropy(parallel(adversaries), y).backward()
            optimizer.step()

    return run


def train_here(images: torch.Tensor, labels: torch.Tensor, updates: int) -> Callable[[], None]:
    """The same by sparring."""
    model = build("resnet20", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    attack = sparring.PGD(
        epsilon=EPSILON, step_size=STEP, steps=STEPS, random_start=True, backend="auto"
    )
    trainer = sparring.Trainer(
        model, optimizer, (images, labels), attack, "data_parallel", batch_size=BATCH, threads=1
    )
    return lambda: trainer.fit(updates=updates) and None


def seconds(run: Callable[[], None]) -> float:
    """Of the slowest rank."""
    COMM.Barrier()
    began = time.perf_counter()
    run()
    return float(COMM.allreduce(time.perf_counter() - began, MPI.MAX))


def main(rounds: int = 5, updates: int = 4) -> None:
    """Print the ratio of every round, and their median."""
    torch.set_num_threads(1)
    folder = COMM.bcast(tempfile.mkdtemp() if COMM.rank == 0 else None)
    store = dist.FileStore(str(Path(folder) / "store"), COMM.size)
    dist.init_process_group("gloo", store=store, rank=COMM.rank, world_size=COMM.size)
    data = sparring.data.load("mnist-5k").train
    images, labels = (
        torch.from_numpy(array(slice(0, 1024))) for array in (data.images, data.labels)
    )
    runs = {
        "DDP": train_ddp(images, labels, updates),
        "sparring": train_here(images, labels, updates),
    }
    for run in runs.values():
        run()  # compiles, and warms up
    ratios = []
    for number in range(rounds):
        order = list(runs) if number % 2 else list(runs)[::-1]
        took = {name: seconds(runs[name]) for name in order}
        ratios.append(took["DDP"] / took["sparring"])
        if COMM.rank == 0:
            told = ", ".join(f"{name} {took[name] / updates:.3f} s" for name in runs)
            print(f"an update on {COMM.size}: {told}; DDP takes {ratios[-1]:.2f} times as long")
    if COMM.rank == 0:
        print(f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
