"""Rank program of test_fused_in_place: ranks of a node that train one copy of the weights."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from fused_training_ranks import arrays, small, weights_of

import sparring
from sparring.attacks import PGD

ATTACK = PGD(epsilon=0.2, step_size=0.3, steps=4, norm="l2", random_start=True, backend="fused")


def trainer(strategy):
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-3)
    return sparring.Trainer(
        model, optimizer, arrays(50), ATTACK, strategy, batch_size=20, backend="fused"
    )


def agreed(one, comm, what):
    """Every rank has the same weights and the same state; returns the weights."""
    weights = weights_of(one.compute)
    state = [
        value.numpy().tobytes()
        for values in one.optimizer.state_dict()["state"].values()
        for value in values.values()
    ]
    digest = hashlib.sha256(weights.tobytes() + b"".join(state)).hexdigest()
    assert len(set(comm.allgather(digest))) == 1, what
    return weights


def main(folder):
    torch.set_num_threads(1)
    shared = trainer("data_parallel")
    comm, seen = shared.comm, []
    rows = []

    class Watch:
        """Looks where a watch for overfitting does: a callback would end training in place."""

        def look(self, compute, updates):
            rows.append(compute.shared_rows)
            with compute.shown():
                agreed(shared, comm, f"update {updates}")
                seen.append(np.concatenate([p.detach().ravel() for p in shared.model.parameters()]))

    shared.fit(updates=3, overfitting=Watch(), checkpoint=folder / "run.pt", checkpoint_interval=2)
    assert rows == [3] * 3, rows  # weights, and Adam's two
    # A share of 10 images: their gradients went as factors.
    assert shared.compute.engine.factor_room >= 10
    assert (seen[-1] == agreed(shared, comm, "the end")[: len(seen[-1])]).all()
    shared.fit(updates=3)
    whole = agreed(shared, comm, "the second end")
    resumed = trainer("data_parallel")
    resumed.fit(updates=6, checkpoint=folder / "run.pt", resume=True)
    assert (agreed(resumed, comm, "the resumed end") == whole).all()
    messages = trainer(sparring.strategies.DataParallel(reduction="messages"))
    messages.fit(updates=6)
    others = agreed(messages, comm, "messages")
    early = trainer(sparring.strategies.DataParallel(overlap=True))
    early.fit(updates=6)
    sharded = trainer("sharded")
    sharded.fit(updates=6)
    overlapped = trainer(sparring.strategies.Sharded(overlap=True, broadcast="messages"))
    overlapped.fit(updates=6)
    far = trainer(sparring.strategies.Sharded(overlap=True, broadcast="shared_memory"))
    far.fit(updates=6)
    assert (weights_of(overlapped.compute) == weights_of(far.compute)).all()
    if comm.rank == 0:
        np.save(
            folder / "weights.npy",
            [whole, others, weights_of(early.compute), weights_of(sharded.compute)],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
