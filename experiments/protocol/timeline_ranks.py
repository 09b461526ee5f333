"""Train a little with timelines (a rank program)."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

import sparring
from sparring.strategies import STRATEGIES


def main(job: dict[str, Any]) -> None:
    """Train with each strategy in turn, from the same weights, and write its trace."""
    data = sparring.data.load("mnist-5k", normalize=True)
    attack = sparring.GradientAscent(steps=job["steps"])
    for run in job["runs"]:
        model = sparring.networks.build("study", seed=0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
        strategy = STRATEGIES[run["strategy"]](**run["options"])
        trainer = sparring.Trainer(model, optimizer, data, attack, strategy, threads=1)
        trainer.fit(updates=2)  # the first attacks of a process are slower
        trainer.fit(updates=job["updates"], timeline=run["trace"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
