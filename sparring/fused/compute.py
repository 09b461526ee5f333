"""The compute interface on the fused engine: losses and gradients in the kernel, too."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparring.attacks.base import Attack
from sparring.backends import engine_of
from sparring.batches import Batches
from sparring.compute import Array, Batch, OnReady
from sparring.data.arrays import Images
from sparring.fused.engine import Engine
from sparring.torch_compute import OptimizerFactory, TorchCompute

log = logging.getLogger(__name__)


class FusedCompute(TorchCompute):
    """`TorchCompute` whose losses and gradients the engine computes; the optimizer stays PyTorch's.

    The attack chooses its backend itself.

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
        super().__init__(model, split, batches, attack, optimizer)
        self._engine = engine
        place = {id(p): part for p, part in zip(self._parameters, self._parts, strict=True)}
        #: For each of the engine's parameters its part of the flat gradients, or None if frozen.
        self._packed = engine.space.zeros()
        self._places = [place.get(id(p)) for p in engine.parameters]

    def loss(self, batch: Batch) -> float:
        """See `Compute`."""
        if not self._serves():
            return super().loss(batch)
        self._engine.refresh()
        logits = self._engine.logits(torch.from_numpy(batch.images))
        return float(functional.cross_entropy(logits, torch.from_numpy(batch.labels)))

    def gradients(self, batch: Batch, out: Array, on_ready: OnReady | None = None) -> float:
        """See `Compute`; the kernel ends with all parts at once."""
        if not self._serves():
            return super().gradients(batch, out, on_ready)
        loss = 0.0
        if len(batch.labels):
            self._engine.refresh()
            loss = self._engine.gradients(
                torch.from_numpy(batch.images),
                torch.from_numpy(batch.labels),
                1.0 / batch.rows,
                self._packed,
            )
            self._engine.space.unpack(self._packed, self._outputs(out))
        else:  # a rank without a share of a small minibatch
            out[:] = 0
        if on_ready is not None:
            for part in reversed(self._parts):
                on_ready(part)
        return loss / batch.rows

    def _serves(self) -> bool:
        """Whether the engine computes the model still: not if it has got a hook, say."""
        if self.backend == "fused" and not self._engine.fits(self.model):
            log.warning(
                "PyTorch computes the updates from here on: the model was changed in more than "
                "its weights' values"
            )
            self.backend = "torch"
        return self.backend == "fused"

    def _outputs(self, out: Array) -> list[Tensor | None]:
        """Where each of the engine's gradients goes; a frozen parameter's goes nowhere."""
        flat = torch.from_numpy(out)
        return [None if part is None else flat[part] for part in self._places]


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
        BackendError: if ``backend`` is ``"fused"`` and the engine cannot serve.
        ValueError: see `TorchCompute`.
    """  # noqa: E501
    shape = tuple(split.images(slice(0, 1)).shape[1:])
    engine = engine_of(backend, model, shape)
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
