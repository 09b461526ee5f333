"""Trainers to look at, alone and on MPI ranks."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import nn

import sparring
from harness.launch.launcher import find_launcher
from harness.launch.process import MARK, run
from tests import forked

PROGRAM = str(Path(__file__).with_name("trainer_ranks.py"))


def launch(processes, job, folder, limit_seconds=90):
    """Run a job of trainer_ranks; exit code and output, with nothing of it left running."""
    launcher, log = find_launcher(), folder / "log"
    mark = f"trainer-{folder.name}-{secrets.token_hex(6)}"
    # A rank that shall be killed is a process of its own, as users' are.
    command = [sys.executable] if job.get("deed") == "kill" else forked.rank_command()
    outcome = run(
        launcher.command(processes, 1, [*command, PROGRAM, json.dumps(job)]),
        launcher.variables(processes, 1),
        mark=mark,
        log=log,
        limit_seconds=limit_seconds,
    )
    left = [p for p in psutil.process_iter() if _environment(p).get(MARK) == mark]
    assert not left, left
    assert not outcome.timed_out
    return outcome.exit_code, log.read_text(encoding="utf-8")


def _environment(process):
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def weights_after(processes, job, folder, name="weights.npy"):
    path = folder / name
    code, output = launch(processes, {**job, "weights": str(path)}, folder)
    assert code == 0, output
    return np.load(path)


def weights_of(trainer):
    """A trainer's weights, flat."""
    found = np.empty(trainer.compute.weight_count, trainer.compute.dtype)
    trainer.compute.read_weights(found)
    return found


def same_trainer(strategy, dtype=torch.float32, images=0):
    """What trainer_ranks trains, on one process."""
    model = sparring.networks.build("study", 0, dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    data = sparring.data.load("mnist-5k", normalize=True)
    if images:
        data = tuple(get(slice(images)) for get in (data.train.images, data.train.labels))
    attack = sparring.GradientAscent(steps=2)
    return sparring.Trainer(model, optimizer, data, attack, strategy, batch_size=16)


def small_trainer(data=None, model=None, **keywords):
    model = model or nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = data or sparring.data.load("mnist-5k")
    return sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), batch_size=32, **keywords)
