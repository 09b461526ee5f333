"""Rank program of test_shared_state: ranks whose models and optimizers begin differently."""

from __future__ import annotations

import hashlib
import json

import torch
from mpi4py import MPI
from rank_program import run
from torch import nn

import sparring
from sparring.strategies import DataParallel, Pipeline, Sharded

STRATEGIES = {
    "data_parallel": DataParallel(),
    "data_parallel by messages": DataParallel(reduction="messages"),
    "sharded": Sharded(),
    "pipeline": Pipeline(),
    "pipeline with a window": Pipeline(weights="window"),
}


class Shuffled(nn.Module):
    """Images whose pixels stand in an order of the model's own, and a mask of them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("perm", torch.randperm(784))
        self.register_buffer("mask", torch.rand(784) > 0.3)
        self.register_buffer("scale", torch.rand(1, dtype=torch.float64).squeeze())
        self.register_buffer("shift", torch.rand(3, dtype=torch.float16)[1:], persistent=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.linear = nn.Linear(784, 10)

    def forward(self, x):
        if self.training:
            self.seen = self.seen + 1  # another tensor in the buffer's place
        x = x.flatten(1)[:, self.perm] * self.mask * self.scale.float()
        return self.linear(x) + self.shift.float().sum()


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def main() -> None:
    comm = MPI.COMM_WORLD
    torch.set_num_threads(1)
    data = sparring.data.load("mnist-5k")
    facts = {}
    for name, strategy in STRATEGIES.items():
        torch.manual_seed(comm.rank)
        model = Shuffled()
        kept = {n: b.clone() for n, b in model.named_buffers()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        model(torch.rand(2, 784)).sum().backward()  # only rank 0 has steps behind it
        if comm.rank == 0:
            optimizer.step()
        optimizer.zero_grad()
        trainer = sparring.Trainer(
            model, optimizer, data, sparring.FGSM(0.1, backend="torch"), strategy,
            batch_size=12, backend="torch",
        )  # fmt: skip
        trainer.fit(updates=4)
        with torch.no_grad():
            logits = model.eval()(torch.linspace(0, 1, 784).reshape(1, 784))
        state = [(n, b.tolist()) for n, b in model.named_buffers()]
        began = [(n, kept[n].tolist()) for n in kept if n != "seen"]
        facts[name] = {
            "logits": logits.tolist(),
            "state": digest(state),
            "began": digest(began),
            "ended": digest([(n, b) for n, b in state if n != "seen"]),
            "momentum": digest(optimizer.state[model.linear.bias]["momentum_buffer"].tolist())
            if model.linear.bias in optimizer.state
            else "",
            "seen": int(model.seen),
        }
    gathered = comm.gather(facts)
    if comm.rank == 0:
        print("FACTS" + json.dumps(gathered))


if __name__ == "__main__":
    run(main)
