"""A model of one's own with batch normalisation: ``mpiexec -n 4 python examples/batch_norm.py``."""

import sys

import torch
from torch import nn

import sparring


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """Convolution, batch normalisation, ReLU, and half the resolution."""
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]
    return [*layers, nn.ReLU(), nn.MaxPool2d(2)]


updates = int(sys.argv[1]) if len(sys.argv) > 1 else 100
torch.manual_seed(0)
model = nn.Sequential(*block(1, 16), *block(16, 32), nn.Flatten(), nn.Linear(32 * 7 * 7, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
attack = sparring.PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True)

# Every rank attacks and updates on its share, and normalises over the whole minibatch.
trainer = sparring.Trainer(
    model, optimizer, sparring.data.load("mnist-5k"), attack, strategy="data_parallel", threads=1
)
trainer.fit(updates=updates)
robust = trainer.accuracy(attack, images=500)
if trainer.comm.rank == 0:
    print(f"{trainer.comm.size} processes: robust accuracy {robust:.3f}")
