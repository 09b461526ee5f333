"""Rank program of `cases`: strategies on a compute that only does bookkeeping.

The weights are one number repeated: the version, that is, how many updates made them. So a torn or
mixed-up message shows at once, and every ascent step can tell which version it used.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

import numpy as np
from mpi4py import MPI
from rank_program import run

from sparring.compute.interface import Batch
from sparring.strategies import STRATEGIES, Run

WEIGHTS = 100_000  # large enough for MPI's rendezvous protocol
ROWS, LAST_ROWS, EPOCH = 8, 3, 5


def young_at_the_end(version, versions):
    """A staleness policy: no update between an attack's last step and the update on it."""
    return version == versions[-1][1]


def every_second():
    """A staleness policy that refuses every other batch, whatever its age."""
    asked = itertools.count()
    return lambda version, versions: next(asked) % 2 == 1


POLICIES = {"own": lambda: young_at_the_end, "every_second": every_second}


class Bookkeeping:
    """Images carry (number, row) and the oldest and newest version behind them."""

    image_shape = (4,)
    dtype = np.dtype(np.float32)
    weight_count = gradient_count = WEIGHTS
    shared_rows = 0
    epoch_length = EPOCH
    optimizer_seconds = 0.0

    def __init__(self, rank, step_seconds, steps, row_seconds=0.0):
        self.row_seconds = row_seconds
        self.rank, self.step_seconds, self.attack_steps = rank, step_seconds, steps
        self.weights = np.zeros(WEIGHTS, np.float32)
        self.trained, self.versions_written, self.attacked = [], [], []
        self.refreshed = []

    def reset(self):
        pass

    def rows(self, number):
        return LAST_ROWS if number % EPOCH == EPOCH - 1 else ROWS

    def attack(self, number, part, on_step=None, every=1):
        used = []
        for step in range(self.attack_steps):
            if on_step is not None and step % every == 0:
                on_step(step)
            assert (self.weights == self.weights[0]).all(), "torn weights"
            used.append(self.weights[0])
            time.sleep(self.step_seconds)
        rows = np.arange(self.rows(number))[part]
        images = np.zeros((len(rows), 4), np.float32)
        images[:, 0], images[:, 1], images[:, 2], images[:, 3] = number, rows, min(used), max(used)
        self.attacked.append(number)
        return Batch(number, self.rows(number), images, rows.astype(np.int64))

    mixes_images = False

    def refresh(self, batch, part, steps, scale):
        assert batch.labels.tolist() == np.arange(batch.rows)[part].tolist()
        assert (self.weights == self.weights[0]).all(), "torn weights"
        time.sleep(self.row_seconds * len(batch.labels))
        images = batch.images.copy()
        images[:, 3] = self.weights[0]
        self.refreshed += [steps, scale] if len(images) else []
        return Batch(batch.number, batch.rows, images, batch.labels)

    def labels(self, number):
        return np.arange(self.rows(number))

    def loss(self, batch, *, joint=False):
        """How old the weights would be by now if they had made the batch at version 0."""
        return float(self.weights[0])

    def gradients(self, batch, out, on_ready=None):
        assert DEFECT or (batch.images[:, 0] == batch.number).all()
        assert (batch.images[:, 1] == batch.labels).all()
        self.trained.append(
            {
                "number": batch.number,
                "rows": batch.labels.tolist(),
                "whole": batch.rows,
                "oldest": float(batch.images[:, 2].min()) if len(batch.labels) else None,
                "newest": float(batch.images[:, 3].min()) if len(batch.labels) else None,
                "version": float(self.weights[0]),
            }
        )
        out[:] = len(batch.labels) / batch.rows
        if on_ready is not None:
            for begin in range(0, WEIGHTS, WEIGHTS // 4):
                on_ready(slice(begin, begin + WEIGHTS // 4))
        return len(batch.labels) / batch.rows

    def apply(self, gradients):
        np.testing.assert_allclose(gradients, 1, rtol=1e-6)
        self.weights += 1

    def read_weights(self, out):
        out[:] = self.weights

    def borrow_weights(self, weights):
        self.write_weights(weights)

    def return_weights(self):
        pass

    def write_weights(self, weights):
        assert weights[0] >= self.weights[0], "older weights replaced newer ones"
        self.versions_written.append(float(weights[0]))
        self.weights[:] = weights


DEFECT = False


def main(cases):
    for case in cases:
        train(*case)


def train(name, options, updates, slow_rank):
    global DEFECT
    DEFECT = options.get("study_partial_batches", False)
    comm = MPI.COMM_WORLD
    run_settings = ("start", "record_strength", "patience_seconds")
    run_options = {k: options.pop(k) for k in run_settings if k in options}
    slow, row = options.pop("slow_seconds", 0.004), options.pop("row_seconds", 0.0)
    compute = Bookkeeping(comm.rank, slow if comm.rank == slow_rank else 0.0005, 4, row)
    compute.weights[:] = run_options.get("start", 0)
    policy = options.get("staleness_policy")
    if policy in POLICIES:
        options["staleness_policy"] = POLICIES[policy]()
    log = STRATEGIES[name](**options).train(Run(comm, compute, updates, **run_options))
    facts = {
        "role": log.role,
        "seconds": log.seconds,
        "batches": log.batches,
        "bytes_sent": log.bytes_sent,
        "bytes_received": log.bytes_received,
        "staleness": [record.staleness for record in log.records],
        "losses": [record.loss for record in log.records],
        "records": [[r.update, r.batch, r.generator, r.versions, r.made_loss] for r in log.records],
        "counters": dict(log.counters),
        "waiting": log.waiting,
        "trained": compute.trained,
        "attacked": compute.attacked,
        "refreshed": compute.refreshed,
        "versions_written": compute.versions_written,
        "final": float(compute.weights[0]),
    }
    gathered = comm.gather(facts)
    if comm.rank == 0:
        print("FACTS" + json.dumps(gathered))


if __name__ == "__main__":
    run(main, json.loads(sys.argv[1]))
