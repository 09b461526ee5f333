"""Competitors of this process, whose attacks take the seconds that they are told."""

from __future__ import annotations

import csv

import numpy as np
import torch
from torch import nn

from sparring import PGD
from sparring.benchmark.attacking import pgd_settings
from sparring.benchmark.plan import Numbers, Plan
from sparring.benchmark.worker import Timing, WorkerError

IMAGES = 32


def adversaries(problem, steps=5, count=IMAGES, **changes):
    attack = PGD(steps=steps, **{**pgd_settings(Numbers()), **changes})
    return attack(problem.model, problem.images[:count], problem.labels[:count])


def update_of(problem, x, part=slice(None)):
    """An update as a competitor tells of it, done by nobody's code but this."""
    parameters = list(problem.model.parameters())
    loss = nn.functional.cross_entropy(problem.model(x), problem.labels[part])
    found = torch.autograd.grad(loss, parameters)
    flat = [torch.cat([t.detach().flatten() for t in kind]) for kind in (parameters, found)]
    return {"images": x, "gradients": flat[1], "weights": flat[0] - 0.01 * flat[1]}


class Fake:
    """A competitor in this process, whose attacks take the seconds that it is told."""

    version, backend, torch = "1.2.3", "torch", "9.9"
    busy = None  # whoever computes

    def __init__(self, problem, name, log, seconds=0.5, attack=adversaries, fails_at=None):
        self.problem, self.name, self.log, self.seconds = problem, name, log, seconds
        self._attack, self._fails_at, self._asked = attack, fails_at, 0
        self.closed = False

    def run(self, start, batch_size, steps, *, calls=1, warmups=0, keep=None):
        assert not self.closed
        self._asked += 1
        self.log.append((self.name, batch_size, steps, calls, warmups, keep is not None))
        if self._asked == self._fails_at:
            raise WorkerError("RuntimeError: no luck")
        if keep is not None:
            part = slice(start, start + batch_size)
            if steps:
                found = {"images": self._attack(self.problem, steps)[part]}
            else:
                found = update_of(self.problem, self.problem.images[part], part)
            np.savez(keep, **{name: tensor.numpy() for name, tensor in found.items()})
        return Timing(self.seconds * calls, calls, preparation=0.25)

    def close(self):
        self.closed = True


class Clock:
    """Seconds that pass with every look at it."""

    def __init__(self, tick=0.0):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


SMALL = Plan(batch_sizes=(4,), steps=(5,), competitors=("sparring", "plain", "art"), rounds=(4, 4))


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
