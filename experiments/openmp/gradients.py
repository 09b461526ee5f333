"""The input gradient by Jacobian products, beside autograd and the fused engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from experiments.openmp.rounds import Way, rounds, warm_up
from kernels.chains import jacobian
from kernels.chains import orders as chains
from kernels.chains.jacobian import Jacobians
from kernels.declarations.study import network
from kernels.threads import intra_op
from sparring import data, networks
from sparring.fused.engine import OBJECTIVE_NUMBERS, Engine

#: Of the median image, relative, in norm: rounding alone.
BOUND = 1e-4
#: Of any image: a ReLU whose input is within rounding of zero may be dead in one and alive in the
#: other, which changes a gradient as a whole unit does.
UNIT_BOUND = 0.1
#: Images on which every way is checked.
_CHECKED = 16
_SIZE = 28

Gradient = Callable[[Tensor, Tensor], Tensor]


def autograd(model: nn.Module) -> Gradient:
    """PyTorch's own, of the study's loss summed over the batch, for the images alone."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def gradient(x: Tensor, labels: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        logits = model(x)
        loss = (logits * jacobian.loss_gradient(labels).to(logits.dtype)).sum()
        found: Tensor = torch.autograd.grad(loss, x)[0]
        return found

    return gradient


def errors(found: Tensor, expected: Tensor) -> Tensor:
    """Each image's distance from its reference, over the reference's norm: ``(n,)``."""
    distance = (found.double() - expected).flatten(1).norm(dim=1)
    relative: Tensor = distance / expected.flatten(1).norm(dim=1)
    return relative


class GradientPart:
    """Every way to the input gradients of the batch sizes of a point."""

    def __init__(self, parameters: dict[str, Any], threads: Sequence[int]) -> None:
        self.threads = list(threads)
        self.batch_sizes = [int(word) for word in str(parameters["batch_sizes"]).split()]
        dataset = data.load(str(parameters["dataset"]), normalize=True).train
        most = slice(0, max(_CHECKED, *self.batch_sizes))
        self.x = torch.from_numpy(dataset.images(most))
        self.labels = torch.from_numpy(dataset.labels(most))
        self.model = networks.build("study", int(parameters["seed"]))
        exact = networks.build("study", int(parameters["seed"]), torch.float64)
        self._expected = autograd(exact)(self.x[:_CHECKED].double(), self.labels[:_CHECKED])
        self._gradients = self._ways_to_compute()
        self._facts = {name: self._checked(name) for name in self._gradients}

    def measure(self, count: int, seed: int, warmup: bool) -> list[dict[str, Any]]:
        """So many rounds of every batch size; building is timed once more in each call."""
        found: list[dict[str, Any]] = []
        building = {
            "toeplitz_dense": self._building(False),
            "toeplitz_sparse": self._building(True),
        }
        for batch_size in self.batch_sizes:
            ways = self._ways(batch_size)
            for way in ways:
                if way.name in building:
                    way.facts["construction_seconds"] = building[way.name]
            warm_up(ways)
            rows = rounds(ways, count, seed + batch_size)
            found += [{"batch_size": batch_size, **row} for row in rows]
        return found

    def _ways_to_compute(self) -> dict[str, Gradient]:
        self._dense, goal = Jacobians.of(self.model), OBJECTIVE_NUMBERS["study"]
        sparse, engine = (
            Jacobians.of(self.model, sparse=True),
            Engine(self.model, (1, _SIZE, _SIZE)),
        )
        engine.refresh()
        return {
            "autograd": autograd(self.model),
            "fused": lambda x, y: engine.input_gradient(x, y, goal),
            "toeplitz_dense": self._dense.input_gradient,
            "toeplitz_sparse": sparse.input_gradient,
        }

    def _checked(self, name: str) -> dict[str, Any]:
        found = errors(
            self._gradients[name](self.x[:_CHECKED], self.labels[:_CHECKED]), self._expected
        )
        return {"error": within(name, found), "error_bound": BOUND}

    def _ways(self, batch_size: int) -> list[Way]:
        x, y, layers = self.x[:batch_size], self.labels[:batch_size], network(_SIZE)
        ways = []
        for name, gradient in self._gradients.items():
            dense = name == "toeplitz_dense"
            facts = dict(self._facts[name])
            if name != "fused":  # its kernels may take fewer than the direct algorithm
                facts["flops"] = batch_size * jacobian.flops(layers, dense=dense)
            if name.startswith("toeplitz"):
                facts["memory_bytes"] = jacobian.matrix_bytes(layers, dense=dense)
            for threads in self.threads if name != "toeplitz_sparse" else [1]:
                run = _call(gradient, x, y, threads)
                ways.append(Way(name, threads, run, facts=dict(facts)))
        if batch_size == 1:
            ways += self._explicit(x, y)
        return ways

    def _explicit(self, x: Tensor, y: Tensor) -> list[Way]:
        """The image's own masked Jacobians, multiplied as a chain; building them is apart."""
        made = self._dense.explicit(x, y)
        dims = [int(made[0].shape[0]), *(int(matrix.shape[1]) for matrix in made)]
        facts = {
            "flops": chains.flops(dims, chains.left_to_right(0, len(made))),
            "memory_bytes": sum(4 * matrix.numel() for matrix in made),
        }
        product = reduce(torch.mm, made).view(x.shape)
        facts["error"] = within("explicit", errors(product, self._expected[:1]))
        facts["error_bound"] = UNIT_BOUND
        ways = []
        for threads in self.threads:
            with intra_op(threads):
                started = time.perf_counter()
                self._dense.explicit(x, y)
                facts["construction_seconds"] = time.perf_counter() - started
            run = _call(lambda *_: reduce(torch.mm, made), x, y, threads)
            ways.append(Way("explicit", threads, run, facts=dict(facts)))
        return ways

    def _building(self, sparse: bool) -> float:
        started = time.perf_counter()
        Jacobians.of(self.model, sparse=sparse)
        return time.perf_counter() - started


def within(name: str, found: Tensor) -> float:
    """The median image's error.

    Raises:
        RuntimeError: if it, or that of any image, is beyond its bound.
    """
    middle, worst = float(found.median()), float(found.max())
    if (len(found) > 1 and not middle <= BOUND) or not worst <= UNIT_BOUND:
        raise RuntimeError(
            f"{name}: gradients are {middle:.1e} from float64, the worst {worst:.1e}; expected "
            f"{BOUND:.0e} and {UNIT_BOUND:.0e} at most"
        )
    return middle


def _call(gradient: Gradient, x: Tensor, y: Tensor, threads: int) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with intra_op(threads):
            return gradient(x, y)

    return run
