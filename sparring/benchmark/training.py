"""Competitors that train: an update on a batch, alone or behind the attack that made it.

Between repetitions the weights go back to where they were and the momentum to zero, outside the
time that is measured; inside one, updates follow each other as in training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.attacks import PGD
from sparring.batches import Batches
from sparring.benchmark.attacking import pgd_settings, plain_attack
from sparring.benchmark.plan import Numbers
from sparring.benchmark.problem import Problem
from sparring.compute.fused import compute_for
from sparring.compute.interface import Batch
from sparring.data.arrays import ArrayImages


class Training(ABC):
    """One competitor's training of the problem's model; called with images, it makes an update.

    Args:
        problem: what is trained.
        numbers: of the attack and the optimizer.
        steps: of the attack before every update; 0 for none.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, problem: Problem, numbers: Numbers, steps: int) -> None:
        self.model, self._numbers, self._steps = problem.model, numbers, steps
        self._first = [parameter.detach().clone() for parameter in self.model.parameters()]

    def _sgd(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        numbers = self._numbers
        return torch.optim.SGD(
            parameters, lr=numbers.learning_rate, momentum=numbers.momentum, fused=True
        )

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Attack, if there are steps, and update; the images that were trained on."""
        adversaries = self._attack(x, y) if self._steps else x
        self._update(adversaries, y)
        return adversaries

    @abstractmethod
    def _attack(self, x: Tensor, y: Tensor) -> Tensor:
        """Adversaries."""

    @abstractmethod
    def _update(self, x: Tensor, y: Tensor) -> None:
        """One step of the optimizer on the mean loss."""

    @abstractmethod
    def gradients(self) -> Tensor:
        """Those of the last update, flat."""

    def weights(self) -> Tensor:
        """Those of now, flat."""
        return torch.cat([parameter.detach().flatten() for parameter in self.model.parameters()])

    def restore(self) -> None:
        """Go back to the weights at the start, with no momentum."""
        with torch.no_grad():
            for parameter, first in zip(self.model.parameters(), self._first, strict=True):
                parameter.copy_(first)
        for state in self.optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.zero_()


class SparringTraining(Training):
    """What a rank that trains alone runs for every minibatch.

    Args:
        backend: of attacks and updates.
        problem, numbers, steps: see `Training`.
    """

    def __init__(self, backend: str, problem: Problem, numbers: Numbers, steps: int) -> None:
        super().__init__(problem, numbers, steps)
        self._method = PGD(steps=max(1, steps), backend=backend, **pgd_settings(numbers))
        split = ArrayImages(problem.images.numpy(), problem.labels.numpy())
        self._compute = compute_for(
            backend, self.model, split, Batches(len(split), 1, seed=0), self._method, self._sgd
        )
        self.optimizer = self._compute.optimizer
        self._gradients = np.empty(self._compute.gradient_count, self._compute.dtype)

    def _attack(self, x: Tensor, y: Tensor) -> Tensor:
        return self._method(self.model, x, y)

    def _update(self, x: Tensor, y: Tensor) -> None:
        batch = Batch(0, len(y), x.numpy(), y.numpy())
        self._compute.gradients(batch, self._gradients)
        self._compute.apply(self._gradients)

    def gradients(self) -> Tensor:
        """See `Training`."""
        return torch.from_numpy(self._gradients)


class PlainTraining(Training):
    """The training loop of PyTorch's tutorials."""

    def __init__(self, problem: Problem, numbers: Numbers, steps: int) -> None:
        super().__init__(problem, numbers, steps)
        self.optimizer = self._sgd(list(self.model.parameters()))
        self.model.train()

    def _attack(self, x: Tensor, y: Tensor) -> Tensor:
        self.model.eval()
        adversaries = plain_attack(self.model, x, y, self._numbers, self._steps)
        self.model.train()
        return adversaries

    def _update(self, x: Tensor, y: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def gradients(self) -> Tensor:
        """See `Training`."""
        found = [parameter.grad for parameter in self.model.parameters()]
        return torch.cat([gradient.flatten() for gradient in found if gradient is not None])
