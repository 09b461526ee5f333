"""Curves in TensorBoard: loss and staleness after every update; ``pip install tensorboard``."""

import sys

import torch

import sparring
from sparring.strategies.telemetry import BatchRecord

try:
    from torch.utils.tensorboard import SummaryWriter
except ModuleNotFoundError:
    sys.exit("this example needs TensorBoard: pip install tensorboard")

updates = int(sys.argv[1]) if len(sys.argv) > 1 else 100
folder = sys.argv[2] if len(sys.argv) > 2 else "results/tensorboard"
model = sparring.networks.build("study", seed=0)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
attack = sparring.PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True)
data = sparring.data.load("mnist-5k")
trainer = sparring.Trainer(model, optimizer, data, attack, strategy="pipeline")
writer = SummaryWriter(folder) if trainer.comm.rank == 0 else None


def log(record: BatchRecord) -> None:
    """Called after every update, on the ranks that update."""
    if writer is not None:
        writer.add_scalar("loss", record.loss, record.update)
        writer.add_scalar("staleness", record.update - record.first_version, record.update)


trainer.fit(updates=updates, on_update=log)
if writer is not None:
    writer.close()
    print(f"tensorboard --logdir {folder}")
