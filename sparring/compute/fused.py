"""The compute interface on the fused engine: losses and gradients in the kernel, too."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparring.attacks import FGSM, PGD, GradientAscent
from sparring.attacks.base import Attack
from sparring.attacks.clean import Clean
from sparring.attacks.continued import Further
from sparring.attacks.fused_climb import FusedClimb
from sparring.backends import engine_of, pin, wanted
from sparring.batches import Batches
from sparring.compute.flat_optimizer import elementwise
from sparring.compute.interface import Array, Batch, OnReady, OnStep
from sparring.compute.place import Place
from sparring.compute.pytorch import Agree, OptimizerFactory, TorchCompute
from sparring.data.arrays import Images
from sparring.errors import SparringError
from sparring.fused.engine import Engine
from sparring.fused.library import Pointers, pointers

log = logging.getLogger(__name__)


#: Attacks that ask the model for nothing that the engine would not give.
_SERVED = (PGD, FGSM, GradientAscent, Further, Clean)


class FusedCompute(TorchCompute):
    """`TorchCompute` whose losses and gradients the engine computes; the optimizer stays PyTorch's.

    The attack chooses its backend itself. In `in_place`, weights are trained where the engine reads
    them, and its flat weights and gradients are those of the packed space.

    Args:
        engine: computes ``model``.
        model, split, batches, attack, optimizer: see `TorchCompute`.
    """

    backend = "fused"

    def __init__(
        self,
        engine: Engine,
        model: nn.Module,
        split: Images,
        batches: Batches,
        attack: Attack,
        optimizer: OptimizerFactory,
    ) -> None:
        self._engine, self._place = engine, None
        super().__init__(model, split, batches, attack, optimizer)
        place = {id(p): part for p, part in zip(self._parameters, self._parts, strict=True)}
        #: For each of the engine's parameters its part of the flat gradients, or None if frozen.
        self._places = [place.get(id(p)) for p in engine.parameters]
        self._packed: Tensor | None = None  # gradients, where they are not wanted so
        self._torch_attacks = self._divided = False
        #: Ranks' rows, and where they are.
        self._added: tuple[Sequence[Array], Pointers] | None = None

    _place: Place | None

    @property
    def engine(self) -> Engine:
        """What computes."""
        return self._engine

    def loss(self, batch: Batch, *, joint: bool = False) -> float:
        """See `Compute`."""
        if len(batch.labels) == 0 or not self._serves():
            return super().loss(batch, joint=joint)
        self._engine.refresh()
        logits = self._engine.logits(torch.from_numpy(batch.images))
        return float(functional.cross_entropy(logits, torch.from_numpy(batch.labels)))

    def gradients(self, batch: Batch, out: Array, on_ready: OnReady | None = None) -> float:
        """See `Compute`; the kernel ends with all parts at once."""
        if not self._serves():
            return self._torch_gradients(batch, out, on_ready)
        loss = 0.0
        if len(batch.labels):
            if self._place is None and self._packed is None:
                self._packed = self._engine.space.zeros()
            packed = torch.from_numpy(out) if self._packed is None else self._packed
            loss = self._engine_gradients(batch, packed)
            if self._place is None:
                self._engine.space.unpack(packed, self._plain_gradients(torch.from_numpy(out)))
        else:  # a rank without a share of a small minibatch
            out[:] = 0
        if on_ready is not None:
            for part in reversed(self._parts):
                on_ready(part)
        return loss / batch.rows

    def gradients_to_add(self, batch: Batch, out: Array) -> tuple[float, int]:
        """See `Compute`."""
        count = len(batch.labels)
        if not 0 < count <= self._engine.factor_room or not self._serves():
            return self.gradients(batch, out), -1
        loss = self._engine_gradients(batch, torch.from_numpy(out), factors=True)
        return loss / batch.rows, count

    def add_gradients(
        self, rows: Sequence[Array], factors: Sequence[int], part: slice, out: Array
    ) -> None:
        """See `Compute`."""
        if self._added is None or self._added[0] is not rows:
            # The same rows in every update: to look at each anew would cost as much as to add them.
            self._added = rows, pointers([torch.from_numpy(row) for row in rows])
        self._engine.add_ranks(self._added[1], factors, part, torch.from_numpy(out))

    def _engine_gradients(self, batch: Batch, packed: Tensor, *, factors: bool = False) -> float:
        """The summed cross-entropy of the part, and its gradients in the packed space."""
        self._engine.refresh()
        return self._engine.gradients(
            torch.from_numpy(batch.images), torch.from_numpy(batch.labels), 1.0 / batch.rows,
            packed, factors=factors,
        )  # fmt: skip

    def _torch_gradients(self, batch: Batch, out: Array, on_ready: OnReady | None) -> float:
        """Gradients of a model that the engine does not fit any more."""
        if self._place is None:
            return super().gradients(batch, out, on_ready)
        plain = np.empty(self._place.gradient_count, self.dtype)
        loss = super().gradients(batch, plain)
        packed = torch.from_numpy(out)
        self._engine.space.pack(self._plain_gradients(torch.from_numpy(plain)), packed)
        if on_ready is not None:
            for part in reversed(self._parts):
                on_ready(part)
        return loss

    def _serves(self) -> bool:
        """Whether the engine computes the model still: not if it has got a hook, say."""
        known = self._place is not None and self._place.looked
        if self.backend == "fused" and not known and not self._engine.fits(self.model):
            log.warning(
                "PyTorch computes the updates from here on: the model was changed in more than "
                "its weights' values"
            )
            self.backend = "torch"
        if self._place is not None:
            self._place.looked = True
            pin(self.model, self._engine if self.backend == "fused" else None)
            if self.backend != "fused":
                self._place.show_weights()
        return self.backend == "fused"

    def _plain_gradients(self, flat: Tensor) -> list[Tensor | None]:
        """Where each of the engine's gradients stands in flat ones; a frozen one nowhere."""
        return [None if part is None else flat[part] for part in self._places]

    @contextmanager
    def in_place(self, agree: Agree) -> Iterator[None]:
        """See `TorchCompute`."""
        place = Place.of(self._engine, self.optimizer, self._parameters) if self._serves() else None
        key = None if place is None else place.key
        if place is None or any(other != key for other in agree(key)):
            if place is None:
                agree(None)
            yield
            return
        counts = self.weight_count, self.gradient_count, self._parts
        place.gradient_count, self._packed = self.gradient_count, None
        self.weight_count = self.gradient_count = self._engine.space.size
        self._parts, self._place = self._engine.space.parts, place
        try:
            place.begin()
            yield
        finally:
            self._place = None
            pin(self.model, None)
            self.weight_count, self.gradient_count, self._parts = counts
            place.end()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """See `TorchCompute`."""
        if self._place is None:
            yield
            return
        pin(self.model, None)
        with self._place.shown():
            yield

    def _attacked(
        self, method: Attack, number: int, part: slice, on_step: OnStep | None = None,
        every: int = 1,
    ) -> Batch:  # fmt: skip
        if self._place is None:
            return super()._attacked(method, number, part, on_step, every)
        if self._served(method):
            if on_step is None:
                return self._attacked_in_place(method, number, part)
            return super()._attacked(method, number, part, on_step, every)
        self._place.show_weights()
        self._torch_attacks = True  # newer weights have to be shown, too
        try:
            return super()._attacked(method, number, part, on_step, every)
        finally:
            self._torch_attacks = False

    def _attacked_in_place(self, method: Attack, number: int, part: slice) -> Batch:
        """The same without a look at what is known here: a step of few images takes 0.1 ms."""
        rows, labels, x, source = self._given(number, part)
        climb = FusedClimb(self._engine, self.model, torch.from_numpy(labels), None, 1)
        return Batch(number, rows, method.run(climb, x, source).numpy(), labels)

    def _served(self, method: Attack) -> bool:
        """Whether the attack will see the engine's weights and no others."""
        if type(method) is Clean:
            return True
        return type(method) in _SERVED and wanted(method.backend) and self._serves()

    @property
    def shared_rows(self) -> int:
        """See `Compute`."""
        return 0 if self._place is None else 1 + len(self._place.names)

    def live_in(self, rows: Sequence[Array] | None, part: slice, *, first: bool) -> None:
        """See `Compute`."""
        assert self._place is not None
        self._place.move(rows, part, first)
        self._divided, self._added = rows is not None, None

    def weights_changed(self) -> None:
        """See `Compute`."""
        assert self._place is not None
        self._place.changed()

    def apply(self, gradients: Array) -> None:
        """See `Compute`."""
        if self._place is None:
            super().apply(gradients)
            return
        started = time.perf_counter()
        flat = torch.from_numpy(gradients)
        if elementwise(self.optimizer):
            self._follow_schedule()
            self._place.step(flat)
        elif self._divided:
            raise SparringError("hooks of an optimizer cannot be added while its steps are divided")
        else:
            plain = np.zeros(self._place.gradient_count, self.dtype)
            self._engine.space.unpack(flat, self._plain_gradients(torch.from_numpy(plain)))
            with self.shown():
                super().apply(plain)
            return
        if self._torch_attacks:
            self._place.show_weights()
        self.optimizer_seconds += time.perf_counter() - started

    def read_weights(self, out: Array) -> None:
        """See `Compute`."""
        if self._place is None:
            super().read_weights(out)
        else:
            torch.from_numpy(out).copy_(self._place.weights)

    def write_weights(self, weights: Array) -> None:
        """See `Compute`."""
        if self._place is None:
            super().write_weights(weights)
            return
        self._place.write(torch.from_numpy(weights))
        if self._torch_attacks:
            self._place.show_weights()

    def borrow_weights(self, weights: Array) -> None:
        """See `Compute`; in place, the engine reads them where they are."""
        if self._place is None:
            super().borrow_weights(weights)
            return
        self._place.borrow(torch.from_numpy(weights))
        if self._torch_attacks:
            self._place.show_weights()

    def return_weights(self) -> None:
        """See `Compute`."""
        if self._place is not None:
            self._place.give_back()


def compute_for(
    backend: str,
    model: nn.Module,
    split: Images,
    batches: Batches,
    attack: Attack,
    optimizer: OptimizerFactory,
) -> TorchCompute:
    """The compute of a backend: ``"torch"``, ``"fused"``, or ``"auto"`` for the engine where it can.

    Raises:
        BackendError: if ``backend`` is ``"fused"`` and the engine cannot compute updates.
        ValueError: see `TorchCompute`.
    """  # noqa: E501
    shape = tuple(split.images(slice(0, 1)).shape[1:])
    engine = engine_of(backend, model, shape, updates=True)
    if engine is None:
        return TorchCompute(model, split, batches, attack, optimizer)
    # The kernel indexes logits by labels.
    labels = np.asarray(split.labels(slice(None)))
    if labels.size and (labels.min() < 0 or labels.max() >= engine.network.classes):
        raise ValueError(
            f"labels must be 0 to {engine.network.classes - 1}, the model's classes, not "
            f"{int(labels.min())} to {int(labels.max())}"
        )
    return FusedCompute(engine, model, split, batches, attack, optimizer)
