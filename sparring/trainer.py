"""The library's face: train any model adversarially, on one process or under ``mpiexec``."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sparring import checkpoint as checkpoints
from sparring import outputs
from sparring.attacks.base import Attack
from sparring.backends import BACKENDS
from sparring.batches import Batches
from sparring.compute.batch_norm import problem_of_splitting
from sparring.compute.fused import compute_for
from sparring.compute.misfit import as_written, refused_shape
from sparring.data.arrays import as_split
from sparring.data.dataset import Dataset
from sparring.errors import SparringError
from sparring.evaluation import count_correct
from sparring.modes import training_modes
from sparring.overfitting import CatastrophicOverfitting
from sparring.schedules import Schedule
from sparring.strategies import Strategy
from sparring.strategies.base import Run, shard
from sparring.strategies.choice import choose, tell_of_idle, world
from sparring.strategies.failure import RankFailedError, end_all_ranks, watched
from sparring.strategies.replay import save_arrivals
from sparring.strategies.telemetry import BatchRecord, RankLog, Span, chrome_trace

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """What a call of `Trainer.fit` did.

    Attributes:
        records: on rank 0, one per update; empty on ranks that do not update.
        log: this rank's phases, bytes and counters.
        seconds: wall-clock time of the call, this rank's.
    """

    records: list[BatchRecord]
    log: RankLog
    seconds: float


class Trainer:
    """Adversarial training of a model.

    The same script runs under ``python`` and under ``mpiexec -n p python``: every rank builds a
    Trainer with the same arguments; rank 0's weights are the ones to begin with and, after `fit`,
    every rank's.

    Args:
        model: any ``torch.nn.Module`` from images to logits.
        optimizer: built on the model's parameters.
        data: a `sparring.data.Dataset`, a pair (images, labels) of arrays or tensors, or a
            map-style ``torch.utils.data.Dataset`` of (image, label).
        attack: makes the adversaries.
        strategy: a name of `sparring.strategies.STRATEGIES`, or a strategy with its options. On one
            process a strategy that needs more falls back to ``sequential`` with a warning.
        batch_size: images in a minibatch, over all ranks.
        seed: of the order of images and of the attack's noise.
        threads: threads that this rank computes with; None leaves PyTorch's setting.
        backend: what computes the updates: ``"torch"``, ``"fused"`` (`sparring.compile`), or
            ``"auto"``, the fused engine where it can; ``trainer.compute.backend`` tells which it
            was. The attack has a backend of its own, which is chosen in the same way.
        learning_rate: factor of the optimizer's learning rate, by update; see `sparring.recipes`.
        epsilon: factor of the attack's epsilon and step, by minibatch.
        comm: the ranks; None means ``MPI.COMM_WORLD``.

    Raises:
        SparringError: if an argument is out of range, or strategy, number of ranks, model and
            optimizer do not go together.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        data: object,
        attack: Attack,
        strategy: str | Strategy = "sequential",
        *,
        batch_size: int = 64,
        seed: int = 0,
        threads: int | None = None,
        backend: str = "auto",
        learning_rate: Schedule | None = None,
        epsilon: Schedule | None = None,
        comm: MPI.Intracomm | None = None,
    ) -> None:
        comm = world() if comm is None else comm
        if threads is not None:
            _check_count("threads", threads, 1)
            torch.set_num_threads(threads)
        self.comm, self.model, self.optimizer, self.attack = comm, model, optimizer, attack
        self.data, self.seed, self.updates = data, seed, 0
        self.strategy = choose(strategy, comm.size)
        if self.strategy.splits_attacks and comm.size > 1:
            problem = problem_of_splitting(model, updates=self.strategy.splits_batches)
            if problem:
                raise SparringError(f"this strategy splits minibatches, and {problem}")
        split = as_split(data.train if isinstance(data, Dataset) else data)
        if backend not in BACKENDS:
            raise SparringError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
        _check_count("batch_size", batch_size, 1)
        _check_count("seed", seed, 0)
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(p.requires_grad and id(p) in trained for p in model.parameters()):
            raise SparringError(
                "the optimizer holds no trainable parameter of this model; build it on "
                "model.parameters()"
            )
        try:
            batches = Batches(len(split), batch_size, seed)
            self.compute = compute_for(backend, model, split, batches, attack, lambda _: optimizer)
            self.compute.schedule(learning_rate, epsilon)
        except ValueError as error:
            raise SparringError(str(error)) from None
        if comm.rank == 0:
            rows = min(batch_size, len(split))
            tell_of_idle(self.strategy, comm.size, rows)
        self.strategy.check_compute(self.compute)
        self._own_checkpoint: Path | None = None
        self._settings = {
            "seed": seed, "batch_size": batch_size, "images": len(split),
            "optimizer": type(optimizer).__name__,
        }  # fmt: skip
        for name, schedule in (("learning_rate", learning_rate), ("epsilon", epsilon)):
            if schedule is not None:
                self._settings[name] = repr(schedule)
        self._about = {
            "network": type(model).__name__, "attack": repr(attack),
            "dataset": data.name if isinstance(data, Dataset) else "",
            "bounds": list(data.bounds) if isinstance(data, Dataset) else [],
        }  # fmt: skip

    def fit(
        self,
        *,
        epochs: int | None = None,
        updates: int | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_interval: int = 100,
        resume: bool = False,
        timeline: str | Path | None = None,
        arrivals: str | Path | None = None,
        record_strength: bool = False,
        patience_seconds: float | None = 600.0,
        on_update: Callable[[BatchRecord], None] | None = None,
        progress: Callable[[BatchRecord], None] | None = None,
        overfitting: CatastrophicOverfitting | None = None,
    ) -> History:
        """Train on; collective.

        Layers that are in eval mode in a model that is in train mode stay so, and their statistics
        with them; a model in eval mode is trained in train mode. Modes and gradients (``grad``) are
        as they were afterwards.

        Args:
            epochs: passes over the data; give this or ``updates``.
            updates: optimizer steps.
            checkpoint: where rank 0 keeps the run's state, written whole or not at all.
            checkpoint_interval: updates between checkpoints; one more is written at the end.
            resume: begin from ``checkpoint`` if it exists; ``epochs`` or ``updates`` then count
                from the run's very beginning. Without it an existing checkpoint is an error.
            timeline: write every rank's phases there, as a Chrome trace that Perfetto opens; a
                file of its own.
            arrivals: write the arrival log there, which `sparring.strategies.replay` follows; a
                file of its own.
            record_strength: also tell each batch's loss under the weights that made it.
            patience_seconds: give up when a rank is silent for so long; None waits for ever.
            on_update: called after every update on the ranks that update; it may look at the model
                and change it. Weights are then trained in the model's own parameters.
            progress: called after every update on the ranks that update, too, with its record
                alone: the model may be out of date meanwhile, and training is as fast as without.
            overfitting: watches for catastrophic overfitting on the ranks that update.

        Raises:
            SparringError: if the arguments are wrong or, on one process, training fails. On
                several, a rank that fails says why on stderr and ends all of them.
        """
        if (epochs is None) == (updates is None):
            raise SparringError("fit needs either epochs or updates")
        wanted_of = ("epochs", epochs) if updates is None else ("updates", updates)
        _check_count(*wanted_of, 0)
        _check_count("checkpoint_interval", checkpoint_interval, 1)
        wanted = updates if updates is not None else (epochs or 0) * self.compute.epoch_length
        path = Path(checkpoint) if checkpoint is not None else None
        trace = Path(timeline) if timeline is not None else None
        arrived = Path(arrivals) if arrivals is not None else None
        outputs.check_outputs(
            {"checkpoint": path, "timeline": trace, "arrivals": arrived},
            existing=("checkpoint",), comm=self.comm,
        )  # fmt: skip
        if resume and path is not None:
            self._resume(path)
            self._own_checkpoint = path
            wanted = max(0, wanted - self.updates)
        elif resume:
            raise SparringError("resume needs the checkpoint to resume from")
        elif path is not None:
            self._refuse_to_overwrite(path)
        self._agree_on_weights()
        if self.strategy.splits_batches:
            self._agree_on_optimizer()
        self.compute.applied = self.updates
        self.compute.modes = training_modes(self.model)

        def after_update(record: BatchRecord) -> None:
            done = record.update + 1
            if overfitting is not None:
                overfitting.look(self.compute, done)
            if path and self.comm.rank == 0 and done % checkpoint_interval == 0:
                with self.compute.shown():
                    self._save_on_the_way(path, done)
            if on_update is not None:
                on_update(record)
            if progress is not None:
                progress(record)

        run = Run(
            self.comm, self.compute, self.updates + wanted, start=self.updates,
            record_strength=record_strength, timeline=trace is not None,
            patience_seconds=patience_seconds, on_update=after_update,
        )  # fmt: skip
        self.comm.Barrier()
        origin = began = time.perf_counter()
        try:
            # Whoever is called after updates may change anything, on every rank in another way.
            watched_over = any(self.comm.allgather(on_update is not None))
            with nullcontext() if watched_over else self.compute.in_place(self.comm.allgather):
                watched(self.strategy, run)
        except RankFailedError as error:
            misfit = self._misfit()
            if self.comm.size > 1:
                end_all_ranks(self.comm, misfit or str(error))
            if misfit:
                raise SparringError(misfit) from error
            raise
        seconds = time.perf_counter() - began
        self.updates += wanted
        self._agree_on_weights()
        self._refuse_divergence()
        spans = self.comm.gather((self.comm.rank, run.log.role, run.log.spans, origin))
        if spans is not None:
            self._write(path, trace, spans, arrived, run.log.records)
        return History(run.log.records, run.log, seconds)

    def _misfit(self) -> str:
        """Whether the model cannot take the data's images at all: what failed training comes of."""
        data = self.data.train if isinstance(self.data, Dataset) else self.data
        image = torch.as_tensor(as_split(data).images(slice(0, 1)))
        reason = refused_shape(self.model, image)
        shape = as_written(image.shape[1:])
        return reason and f"the model cannot take the data's images, of shape {shape}: {reason}"

    def _write(
        self,
        checkpoint: Path | None,
        timeline: Path | None,
        spans: list[tuple[int, str, list[Span], float]],
        arrivals: Path | None,
        records: list[BatchRecord],
    ) -> None:
        """Write a run's outputs, on rank 0."""
        writers: list[Callable[[], None]] = []
        if checkpoint is not None:
            state = checkpoints.as_bytes(self._state(self.updates))
            writers.append(lambda: outputs.write(checkpoint, state, existing=True))
        if timeline is not None:
            trace = json.dumps(chrome_trace(spans))
            writers.append(lambda: outputs.write(timeline, trace))
        if arrivals is not None:
            writers.append(lambda: save_arrivals(arrivals, records))
        try:
            outputs.write_all(*writers)
        except SparringError as error:  # on rank 0 alone: the others would wait for it for ever
            sentence = f"rank 0 could not write what it trained: {error}"
            if self.comm.size > 1:
                end_all_ranks(self.comm, sentence)
            raise SparringError(sentence) from None

    def accuracy(self, attack: Attack | None = None, images: int | None = None) -> float:
        """Accuracy on the first test images, clean or under an attack, counted by all ranks.

        Raises:
            SparringError: if the data has no test images, or ``images`` is below 1.
        """
        if not isinstance(self.data, Dataset):
            raise SparringError("accuracy needs a sparring.data.Dataset, which has test images")
        if images is not None:
            _check_count("images", images, 1)
        test = self.data.test
        number = min(len(test), images if images is not None else len(test))
        part = range(number)[shard(number, self.comm.size, self.comm.rank)]
        correct = count_correct(self.model, test, part, attack, seed=self.seed)
        return float(sum(self.comm.allgather(correct)) / number)

    def _agree_on_weights(self) -> None:
        """Give every rank rank 0's weights, and all else that its model computes with.

        Raises:
            SparringError: if the ranks' models are of different sizes.
        """
        if self.comm.size == 1:
            return
        weights = np.empty(self.compute.weight_count, self.compute.dtype)
        sizes = set(self.comm.allgather((weights.size, str(weights.dtype))))
        if len(sizes) > 1:
            told = " and ".join(f"{size} of {dtype}" for size, dtype in sorted(sizes))
            raise SparringError(f"the ranks' models must be the same; they have weights of {told}")
        self.compute.read_weights(weights)
        self.comm.Bcast(weights)
        self.compute.write_weights(weights)

    def _agree_on_optimizer(self) -> None:
        """Give every rank rank 0's momentum and rates, where all ranks take the same steps."""
        if self.comm.size == 1:
            return
        state = self.comm.bcast(self.optimizer.state_dict() if self.comm.rank == 0 else None)
        if self.comm.rank > 0:
            self.optimizer.load_state_dict(state)

    def _refuse_to_overwrite(self, path: Path) -> None:
        """A checkpoint of another run is not lost by forgetting to resume it."""
        exists = path != self._own_checkpoint and path.exists()
        if self.comm.bcast(exists):
            raise SparringError(
                f"{path}: a checkpoint is there already; resume it, or name another file"
            )
        self._own_checkpoint = path

    def _refuse_divergence(self) -> None:
        """Keep no state, and tell no accuracy, of weights that are none; collective."""
        reason = ""
        if self.comm.rank == 0:
            try:
                self.compute.check_weights()
            except SparringError as error:
                reason = str(error)
        reason = self.comm.bcast(reason)
        if reason:
            raise SparringError(reason)

    def _state(self, updates: int) -> checkpoints.Checkpoint:
        return checkpoints.capture(self.model, self.optimizer, updates, self._settings, self._about)

    def _save_on_the_way(self, path: Path, updates: int) -> None:
        """Keep the state; what cannot be written now is no reason to lose what is trained."""
        self.compute.check_weights()
        try:
            checkpoints.save(path, self._state(updates))
        except OSError as error:
            log.warning(
                "%s: the state after update %d cannot be written: %s; training goes on",
                path, updates, error.strerror or error,
            )  # fmt: skip

    def _resume(self, path: Path) -> None:
        """Take the state of rank 0's checkpoint, on every rank."""
        exists, state, reason = path.exists(), None, ""
        if self.comm.rank == 0 and exists:
            try:
                state = checkpoints.load(path)
            except SparringError as error:
                reason = str(error)
        state, reason = self.comm.bcast((state, reason))
        if reason:
            raise SparringError(reason)
        if state is None:
            log.info("%s does not exist yet: training begins", path)
            return
        checkpoints.restore(state, self.model, self.optimizer, self._settings, path)
        self.updates = state.updates


def _check_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise SparringError(f"{name} must be an integer from {least}, not {value!r}")
