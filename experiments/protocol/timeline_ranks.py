"""Train a little with a timeline (a rank program)."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

import sparring
from sparring.strategies import STRATEGIES


def main(job: dict[str, Any]) -> None:
    """Train and write the trace."""
    data = sparring.data.load("mnist-5k", normalize=True)
    model = sparring.networks.build("study", seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    strategy = STRATEGIES[job["strategy"]](**job["options"])
    trainer = sparring.Trainer(
        model, optimizer, data, sparring.GradientAscent(steps=job["steps"]), strategy, threads=1
    )
    trainer.fit(updates=2)  # the first attacks of a process are slower
    trainer.fit(updates=job["updates"], timeline=job["trace"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
