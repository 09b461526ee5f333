"""The compute interface on PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparring.attacks.base import Attack
from sparring.attacks.sources import KeyedSource
from sparring.batches import Batches
from sparring.compute.batch_norm import keep_first, layers_of, synchronized
from sparring.compute.flat import FlatWeights, gradients_as_they_come
from sparring.compute.interface import Array, Batch, OnReady, OnStep, Ranks, Statistics
from sparring.data.arrays import Images, check_images
from sparring.data.dataset import Which
from sparring.errors import SparringError, diverged
from sparring.logits import logits_of
from sparring.modes import buffers_kept, gradients_kept, mode, trainable, training_modes
from sparring.randomness import ImageStreams
from sparring.schedules import Schedule

_NUMPY: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}

Agree = Callable[[Hashable], list[Any]]
OptimizerFactory = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class TorchCompute:
    """`sparring.compute.interface.Compute` for any ``torch.nn.Module`` on the CPU.

    Training minimises the mean negative log-likelihood of log-softmax (cross-entropy of logits).

    Args:
        model: any module from images to logits, with float32 or float64 parameters.
        split: the images to train on.
        batches: which images make up which minibatch.
        attack: makes the adversaries.
        optimizer: builds an optimizer for a list of parameters, such as
            ``lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.5)``.

    Raises:
        ValueError: if the parameters have no or another dtype, or differ in it, or none of them
            is trainable.
    """

    #: What computes losses and gradients.
    backend = "torch"

    def __init__(
        self,
        model: nn.Module,
        split: Images,
        batches: Batches,
        attack: Attack,
        optimizer: OptimizerFactory,
    ) -> None:
        dtypes = {parameter.dtype for parameter in model.parameters()}
        if len(dtypes) != 1 or not dtypes <= _NUMPY.keys():
            raise ValueError(
                "the model's parameters must all be float32 or all float64, not "
                f"{sorted(map(str, dtypes)) or 'none'}"
            )
        self.model, self.attack_method = model, attack
        #: Each module's mode while losses and gradients are computed.
        self.modes = training_modes(model)
        self._split, self._batches, self._factory = split, batches, optimizer
        self._torch_dtype = dtypes.pop()
        self.dtype: np.dtype[Any] = _NUMPY[self._torch_dtype]
        split.labels(slice(0, 1))  # labels of a wrong kind are refused now, not in an update
        self.image_shape: tuple[int, ...] = tuple(self._images(slice(0, 1)).shape[1:])
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        if not self._parameters:
            raise ValueError("none of the model's parameters has requires_grad: nothing to train")
        self._flat_weights = FlatWeights(model, self._torch_dtype)
        self.weight_count = self._flat_weights.count
        ends = np.cumsum([p.numel() for p in self._parameters]).tolist()
        self._parts = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
        self.gradient_count = ends[-1]
        self.attack_steps = getattr(attack, "steps", 1) * getattr(attack, "restarts", 1)
        self.epoch_length = batches.epoch_length
        self._initial = {name: t.detach().clone() for name, t in model.state_dict().items()}
        self._ranks: Ranks | None = None
        self._statistics: Statistics = "synchronized"
        self._learning_rate: Schedule | None = None
        self._epsilon: Schedule | None = None
        self.reset()
        self._rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def reset(self) -> None:
        """See `Compute`."""
        self.model.load_state_dict(self._initial)
        self.optimizer = self._factory(list(self._parameters))
        self.optimizer_seconds = 0.0
        #: Updates applied so far: the number of the next one. A run that is resumed sets it.
        self.applied = 0

    def schedule(self, learning_rate: Schedule | None, epsilon: Schedule | None) -> None:
        """Let learning rate and epsilon follow schedules; None leaves them as they are.

        Args:
            learning_rate: factor of the optimizer's own rates, by update.
            epsilon: factor of the attack's epsilon and step, by the minibatch's number.

        Raises:
            ValueError: if the attack has no epsilon.
        """
        if epsilon is not None and not hasattr(self.attack_method, "epsilon"):
            raise ValueError(f"an attack without epsilon cannot follow one: {self.attack_method}")
        self._learning_rate, self._epsilon = learning_rate, epsilon

    def rows(self, number: int) -> int:
        """See `Compute`."""
        return len(self._batches.indices(number)[1])

    def attack(
        self, number: int, part: slice, on_step: OnStep | None = None, every: int = 1
    ) -> Batch:
        """See `Compute`."""
        return self._attacked(self._method(number), number, part, on_step, every)

    def refresh(self, batch: Batch, part: slice, steps: int, scale: float) -> Batch:
        """See `Compute`."""
        start = torch.from_numpy(batch.images)
        try:
            method = self._method(batch.number).further(start, steps, scale)
        except ValueError as error:
            raise SparringError(f"adversaries cannot be refreshed: {error}") from None
        return self._attacked(method, batch.number, part)

    def _method(self, number: int) -> Attack:
        method = self.attack_method
        return method if self._epsilon is None else scaled(method, self._epsilon(number))

    def _attacked(
        self, method: Attack, number: int, part: slice, on_step: OnStep | None = None,
        every: int = 1,
    ) -> Batch:  # fmt: skip
        """What an attack makes of the images ``part`` of a minibatch."""
        rows, labels, x, source = self._given(number, part)
        adversaries = method(
            self.model, x, torch.from_numpy(labels), generator=source, on_step=on_step, every=every
        )
        return Batch(number, rows, adversaries.contiguous().numpy(), labels)

    def _given(
        self, number: int, part: slice
    ) -> tuple[int, npt.NDArray[np.int64], Tensor, KeyedSource]:
        """A minibatch's rows; of its images ``part`` labels, pixels, and their random numbers."""
        epoch, indices = self._batches.indices(number)
        chosen = indices[part]
        source = KeyedSource(ImageStreams(self._batches.seed, epoch, chosen))
        return len(indices), self._split.labels(chosen), self._images(chosen), source

    def labels(self, number: int) -> npt.NDArray[np.int64]:
        """See `Compute`."""
        return self._split.labels(self._batches.indices(number)[1])

    def first_images(self, count: int) -> tuple[Tensor, Tensor]:
        """The first training images ``(n, ...)`` and their labels ``(n,)``; n <= count."""
        which = slice(0, min(count, len(self._split)))
        return self._images(which), torch.from_numpy(self._split.labels(which))

    def _images(self, which: Which) -> Tensor:
        images = self._split.images(which)
        check_images(images)
        return torch.from_numpy(images).to(self._torch_dtype)

    @property
    def mixes_images(self) -> bool:
        """See `Compute`."""
        return bool(layers_of(self.model))

    def join(self, ranks: Ranks | None, statistics: Statistics = "synchronized") -> None:
        """See `Compute`."""
        self._ranks, self._statistics = ranks, statistics

    def loss(self, batch: Batch, *, joint: bool = False) -> float:
        """See `Compute`."""
        together = joint and self._ranks is not None and self._statistics == "synchronized"
        if len(batch.labels) == 0 and not together:
            return 0.0
        # Measuring must change nothing: in train mode, batch normalisation would count the batch
        # in its statistics, and dropout draw from the generator that training draws from.
        with (
            buffers_kept(self.model),
            mode(self.model, self.modes),
            self._joined() if together else nullcontext(),
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
        ):
            return self._summed_loss(batch).item() / max(1, len(batch.labels))

    def _joined(self) -> AbstractContextManager[None]:
        """With statistics of all ranks' images, if they are wanted; modes are set before."""
        if self._ranks is None or self._statistics != "synchronized":
            return nullcontext()
        return synchronized(self.model, self._ranks)

    def check_weights(self) -> None:
        """See whether the present weights are any good; an update's own loss is of those before it.

        Raises:
            SparringError: if they, or the loss of training images under them, are not finite.
        """
        after = f"after {self.applied} updates"
        if not all(bool(parameter.isfinite().all()) for parameter in self._parameters):
            raise diverged(f"{after}, the weights are not finite")
        images, labels = self.first_images(self.rows(0))
        loss = self.loss(Batch(0, len(labels), images.numpy(), labels.numpy()))
        if not math.isfinite(loss):
            raise diverged(
                f"{after}, the loss of the first {len(labels)} training images is {loss}"
            )

    def gradients(self, batch: Batch, out: Array, on_ready: OnReady | None = None) -> float:
        """See `Compute`."""
        if self._ranks is None or self._statistics == "synchronized":
            return self._own_gradients(batch, out, on_ready)
        try:
            loss = self._own_gradients(batch, out, on_ready)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise SparringError(
                f"batch_norm 'local' needs more than one value a channel in each rank's share, and "
                f"one of batch {batch.number} has {len(batch.labels)} of {batch.rows} images; "
                "'synchronized' does not"
            ) from None
        keep_first(self.model, self._ranks)
        return loss

    def _own_gradients(self, batch: Batch, out: Array, on_ready: OnReady | None) -> float:
        together = self._ranks is not None and self._statistics == "synchronized"
        if len(batch.labels) == 0 and not together:  # a rank without a share of a small minibatch
            out[:] = 0
            if on_ready is not None:
                for part in reversed(self._parts):
                    on_ready(part)
            return 0.0
        # Also inside an attack's on_step, which has the parameters frozen and the model in eval
        # mode: a trainer that generates updates in the middle of its own attack.
        with self._trainable(), self._joined():
            loss = self._summed_loss(batch) / batch.rows
            if on_ready is None:
                # A parameter that the model does not use has the gradient 0.
                gradients = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
                torch.cat([g.reshape(-1) for g in gradients], out=torch.from_numpy(out))
            else:
                with gradients_kept(self._parameters):
                    gradients_as_they_come(
                        loss, self._parameters, self._parts, torch.from_numpy(out), on_ready
                    )
        return loss.item()

    def _summed_loss(self, batch: Batch) -> Tensor:
        logits = logits_of(self.model, torch.from_numpy(batch.images))
        labels = torch.from_numpy(batch.labels)
        return functional.cross_entropy(logits, labels, reduction="sum")

    @contextmanager
    def _trainable(self) -> Iterator[None]:
        """Gradients on, parameters trainable, modes of training; on leaving, all is as it was."""
        with (
            trainable(self._parameters, True),
            mode(self.model, self.modes),
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):
            yield

    @contextmanager
    def in_place(self, agree: Agree) -> Iterator[None]:
        """Train where what computes reads the weights, if that is elsewhere and all ranks can.

        Meanwhile `weight_count` and `gradient_count` may be others, and model and optimizer are up
        to date in `shown` alone; afterwards they are.

        Args:
            agree: gives every rank's value. Collective.
        """
        agree(None)
        yield

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Model and optimizer may be looked at, and changed."""
        yield

    def _follow_schedule(self) -> None:
        if self._learning_rate is not None:
            factor = self._learning_rate(self.applied)
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = factor * rate
        self.applied += 1

    def apply(self, gradients: Array) -> None:
        """See `Compute`."""
        started = time.perf_counter()
        self._follow_schedule()
        flat = torch.from_numpy(gradients)
        held = [p for group in self.optimizer.param_groups for p in group["params"]]
        # The gradients are views of a buffer that the strategy will write to again: none may stay.
        with gradients_kept([*self._parameters, *held]):
            self.optimizer.zero_grad(set_to_none=True)
            for parameter, part in zip(
                self._parameters,
                torch.split(flat, [p.numel() for p in self._parameters]),
                strict=True,
            ):
                parameter.grad = part.view_as(parameter)
            self.optimizer.step()
        self.optimizer_seconds += time.perf_counter() - started

    def gradients_to_add(self, batch: Batch, out: Array) -> tuple[float, int]:
        """See `Compute`; never called."""
        raise NotImplementedError

    def add_gradients(
        self, rows: Sequence[Array], factors: Sequence[int], part: slice, out: Array
    ) -> None:
        """See `Compute`; never called."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[slice, ...]:
        """Each parameter's part of the flat gradients."""
        return tuple(self._parts)

    @property
    def shared_rows(self) -> int:
        """See `Compute`."""
        return 0

    def live_in(self, rows: Sequence[Array] | None, part: slice, *, first: bool) -> None:
        """See `Compute`; never called."""
        raise NotImplementedError

    def weights_changed(self) -> None:
        """See `Compute`; never called."""
        raise NotImplementedError

    def read_weights(self, out: Array) -> None:
        """See `Compute`."""
        self._flat_weights.read(torch.from_numpy(out))

    def write_weights(self, weights: Array) -> None:
        """See `Compute`."""
        self._flat_weights.write(torch.from_numpy(weights))

    def borrow_weights(self, weights: Array) -> None:
        """See `Compute`; they are copied."""
        self.write_weights(weights)

    def return_weights(self) -> None:
        """See `Compute`."""


def scaled(attack: Attack, factor: float) -> Attack:
    """The attack with a fraction of its epsilon, and of its step, so that it reaches as far."""
    if factor == 1.0:
        return attack
    names = [name for name in ("epsilon", "step_size") if hasattr(attack, name)]
    changed: Any = attack
    return cast(
        Attack, replace(changed, **{name: factor * getattr(attack, name) for name in names})
    )
