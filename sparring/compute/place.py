"""Weights trained where kernels read them; PyTorch has them when somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sparring.compute.flat_optimizer import FlatOptimizer, MixedStateError, elementwise
from sparring.compute.interface import Array
from sparring.fused.engine import Engine


class Place:
    """The packed weights of a training in place, and the optimizer that steps on them.

    Attributes:
        key: what ranks must have in common to send each other packed numbers.
        weights: ``(space.size,)``.
        looked: whether the model was looked at since somebody could change more than its weights.
        gradient_count: numbers of the flat gradients as PyTorch has them.
    """

    @classmethod
    def of(
        cls, engine: Engine, optimizer: Optimizer, trained: Sequence[nn.Parameter]
    ) -> Place | None:
        """None if the optimizer cannot step on flat weights."""
        if not elementwise(optimizer):
            return None
        try:
            return cls(engine, optimizer, trained)
        except MixedStateError:
            return None

    def __init__(
        self, engine: Engine, optimizer: Optimizer, trained: Sequence[nn.Parameter]
    ) -> None:
        self._engine, self._space, self._optimizer = engine, engine.space, optimizer
        self._trained = {id(parameter) for parameter in trained}
        self._twin = self._make_twin()
        self.names = self._twin.names()
        self.key = (engine.isa, repr(engine.network), type(optimizer).__name__, tuple(self.names))
        self.weights = self._space.zeros()
        self.gradient_count = 0
        self._everything = slice(0, self._space.size)
        self._part = self._everything
        self._rows: dict[str, Tensor] = {}  # where the state must be kept, if that matters
        self._own: Tensor | None = None  # while weights are borrowed
        self._shown = self.looked = False

    def begin(self) -> None:
        """Take over from the model's parameters and the optimizer."""
        self._take_weights()
        self._settle()

    def end(self) -> None:
        """Give back to them."""
        self.show_weights()
        self._twin.export()
        self._engine.read_from(None)

    def step(self, gradients: Tensor) -> None:
        """One step of the optimizer on the part of the weights that is this rank's."""
        self._twin.step(gradients)
        self.changed()

    def write(self, weights: Tensor) -> None:
        """Take the weights from others."""
        self.weights.copy_(weights)
        self.changed()

    def borrow(self, weights: Tensor) -> None:
        """Read the weights where others have them, and step on none."""
        self._own, self.weights = self.weights if self._own is None else self._own, weights
        self.changed()

    def give_back(self) -> None:
        """Copy what is borrowed."""
        if self._own is not None:
            self._own.copy_(self.weights)
            self.weights, self._own = self._own, None
            self.changed()

    def changed(self) -> None:
        """The weights have changed, here or on another rank."""
        self._shown = False
        self._engine.read_from(self.weights)

    def move(self, rows: Sequence[Array] | None, part: slice, first: bool) -> None:
        """Keep weights and state in these rows, and step on a part of them; or by oneself again.

        Args:
            rows: one for the weights and one for each of `names`; None for memory of one's own.
            part: what this rank steps on.
            first: whether what the rows hold is to be replaced by what this rank has.
        """
        own = len(self.names) + 1
        new = [self._space.zeros() for _ in range(own)] if rows is None else [
            torch.from_numpy(row) for row in rows
        ]  # fmt: skip
        old = [self.weights, *(self._twin.rows.get(name) for name in self.names)]
        for source, target in zip(old, new, strict=True):
            if first and source is not None:
                target.copy_(source)
            elif first:
                target.zero_()
        self.weights, self._part = new[0], part
        self._rows = dict(zip(self.names, new[1:], strict=True))
        self._settle()

    def show_weights(self) -> None:
        """Fill the model's parameters."""
        if self._shown:
            return
        self._shown = True
        parameters = self._engine.parameters
        if all(p is None or p.is_contiguous() for p in parameters):
            self._space.unpack(self.weights, parameters)
            return
        for parameter, values in zip(parameters, self._space.tensors(self.weights), strict=True):
            if parameter is not None and values is not None:
                parameter.data.copy_(values)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The model's parameters and the optimizer's state are good to look at, and to change."""
        self.show_weights()
        self._twin.export()
        self._engine.read_from(None)
        state = self._versions()
        try:
            yield
        finally:
            self.looked = False
            self._take_weights()
            if self._versions() != state:
                rows = self._twin.rows
                self._twin = self._make_twin()
                for name, values in self._twin.rows.items():
                    if name in rows:
                        rows[name].copy_(values)
                        self._twin.rows[name] = rows[name]
                self._settle()

    def _take_weights(self) -> None:
        """Read the model's parameters. Bits that are the same are not written: others may read."""
        packed = self._space.zeros()
        self._space.pack(
            [None if p is None else p.detach().contiguous() for p in self._engine.parameters],
            packed,
        )
        if not torch.equal(packed.view(torch.int32), self.weights.view(torch.int32)):
            self.weights.copy_(packed)
        self.changed()
        self._shown = True

    def _make_twin(self) -> FlatOptimizer:
        return FlatOptimizer(self._optimizer, self._space, self._engine.parameters, self._trained)

    def _settle(self) -> None:
        self._twin.settle(self.weights, self._part, self._row)
        self.changed()

    def _row(self, name: str) -> Tensor:
        if name in self._rows:
            return self._rows[name]
        if name in self._twin.rows:
            return self._twin.rows[name]
        return self._space.zeros()

    def _versions(self) -> list[tuple[int, int, str, int]]:
        """Tells whether somebody has changed the optimizer's state."""
        return [
            (id(parameter), id(value), name, value._version if isinstance(value, Tensor) else 0)
            for parameter, state in self._optimizer.state.items()
            for name, value in state.items()
        ]
