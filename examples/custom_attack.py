"""An attack of one's own: one step from a random start, as cheap training uses it."""

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

import sparring
from sparring.attacks.base import Attack
from sparring.attacks.objectives import OBJECTIVES


@dataclass(frozen=True)
class RandomFGSM(Attack):
    """FGSM from a uniform start (Wong, Rice and Kolter, ICLR 2020, algorithm 3)."""

    epsilon: float = 0.1
    step_size: float = 0.125

    def _perturb(self, climb, x: Tensor, source) -> Tensor:
        start = source.uniform(x.shape, -self.epsilon, self.epsilon, x.dtype, x.device)
        gradient = climb.gradient(x + start, OBJECTIVES["cross_entropy"].surrogate)
        moved = (start + self.step_size * gradient.sign()).clamp(-self.epsilon, self.epsilon)
        return (x + moved).clamp(0.0, 1.0)


updates = int(sys.argv[1]) if len(sys.argv) > 1 else 100
model = sparring.networks.build("study", seed=0)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
data = sparring.data.load("mnist-5k")
trainer = sparring.Trainer(model, optimizer, data, RandomFGSM(), strategy="data_parallel")
trainer.fit(updates=updates)
judge = sparring.PGD(epsilon=0.1, step_size=0.03, steps=10, random_start=True)
robust = trainer.accuracy(judge, images=500)
if trainer.comm.rank == 0:
    print(f"robust accuracy {robust:.3f}")
