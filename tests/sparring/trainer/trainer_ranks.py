"""Rank program of these tests: small trainings that go well or fail in a chosen way."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI

import sparring
from sparring.strategies import STRATEGIES


class Sabotage:
    """The attack of a rank that does what it is told at one of its batches."""

    def __init__(self, attack, deed, at):
        self.attack, self.deed, self.at = attack, deed, at
        self.calls, self.steps = 0, attack.steps

    def __call__(self, *arguments, **keywords):
        self.calls += 1
        if self.calls == self.at:
            do(self.deed)
        return self.attack(*arguments, **keywords)


def do(deed):
    if deed == "raise":
        raise RuntimeError("the sky fell")
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "hang":
        time.sleep(600)


def main(job):
    torch.set_num_threads(1)
    data = sparring.data.load("mnist-5k", normalize=True)
    if job.get("images"):
        data = tuple(get(slice(job["images"])) for get in (data.train.images, data.train.labels))
    model = sparring.networks.build("study", 0, getattr(torch, job.get("dtype", "float32")))
    optimizer = torch.optim.SGD(model.parameters(), lr=job.get("lr", 0.01), momentum=0.5)
    attack = sparring.GradientAscent(steps=2)
    sinner = job.get("deed") and MPI.COMM_WORLD.rank == job["sinner"]
    if "after_update" in job:
        job["fit"]["on_update"] = lambda record: (
            do(job["deed"]) if sinner and record.update == job["after_update"] else None
        )
    elif sinner:
        attack = Sabotage(attack, job["deed"], job.get("at", 3))
    strategy = STRATEGIES[job["strategy"]](**job.get("options", {}))
    trainer = sparring.Trainer(model, optimizer, data, attack, strategy, batch_size=16)
    folder = Path(job["remove"]) if job.get("remove") else None
    if folder and trainer.comm.rank == 0:  # it goes away while it is trained
        job["fit"]["on_update"] = lambda _: folder.exists() and folder.rmdir()
    history = trainer.fit(**job["fit"])
    if folder:
        trainer.accuracy(None, 10)
    weights = np.empty(trainer.compute.weight_count, trainer.compute.dtype)
    trainer.compute.read_weights(weights)
    if trainer.comm.rank == 0:
        if job.get("arrivals"):
            from sparring.strategies.replay import save_arrivals

            save_arrivals(Path(job["arrivals"]), history.records)
        if job.get("weights"):
            np.save(job["weights"], weights)
        print("DONE", trainer.updates)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
