"""Train for a long time with a checkpoint after every update (a rank program)."""

from __future__ import annotations

import json
import sys

import torch

import sparring


def main(job: dict[str, str]) -> None:
    """Train until somebody ends it."""
    data = sparring.data.load("mnist-5k", normalize=True)
    model = sparring.networks.build("study", seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    trainer = sparring.Trainer(
        model, optimizer, data, sparring.GradientAscent(steps=4), job["strategy"],
        batch_size=32, threads=1,
    )  # fmt: skip
    trainer.fit(updates=100_000, checkpoint=job["checkpoint"], checkpoint_interval=1)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
