"""The workload of the scaling studies: adversarial training by a strategy, on real images."""

from __future__ import annotations

import hashlib
import time
from functools import cache
from typing import Any

import numpy as np
import torch
from mpi4py import MPI

from experiments.parameters import build_strategy, parse
from experiments.shard_times import shard_times
from experiments.slowed import Slowed
from experiments.trained import Trained
from sparring import data, networks
from sparring.attacks import FGSM, PGD, GradientAscent
from sparring.attacks.base import Attack
from sparring.batches import Batches
from sparring.compute.fused import compute_for
from sparring.compute.pytorch import TorchCompute
from sparring.data.dataset import Dataset
from sparring.errors import SparringError
from sparring.evaluation import count_correct
from sparring.strategies import Run
from sparring.strategies.base import shard
from sparring.strategies.failure import guarded


@cache
def _load_data(name: str, normalize: bool) -> Dataset:
    return data.load(name, normalize=normalize)


class Training(Trained):
    """Adversarial training by one of the strategies; a repetition is ``updates`` updates.

    Metrics (rank 0's): ``batches`` trained, ``images_per_second``, ``staleness_mean`` and
    ``staleness_max`` (updates), ``loss`` (mean over the repetition's updates), ``fill_seconds``,
    ``drain_seconds``, ``optimizer_seconds`` (inside update_seconds: what no strategy here shares),
    ``backend_used`` (``torch`` or ``fused``), ``trainers_used`` (of the pipeline), ``waiting`` (how
    ranks waited: ``spin`` or ``test_and_sleep``), ``data_digest``,
    and, of repetitions that are no warm-ups, ``clean_accuracy`` and ``robust_accuracy`` on the
    first ``evaluation_images`` test images (the latter after ``evaluation_steps`` of the same
    attack), evaluated outside the timed region; of `sequential` also, timed then, what parts
    of a minibatch cost (`shard_times`).
    """

    version = 2
    modules = (
        "sparring",
        "experiments.parameters",
        "experiments.shard_times",
        "experiments.slowed",
        "experiments.trained",
    )
    packages = ("numpy", "torch")
    compute: TorchCompute

    @staticmethod
    def check(parameters: dict[str, Any]) -> None:
        """Whether a point with these parameters can be run.

        Raises:
            ValueError: if not, with one sentence that names the parameter.
        """
        try:
            chosen = parse(parameters)
            build_strategy(chosen).check(chosen.processes)
            _load_data(chosen.dataset, chosen.normalize)
        except SparringError as error:
            raise ValueError(str(error)) from None

    def setup(self, comm: MPI.Intracomm, parameters: dict[str, Any]) -> None:
        """Load the data and build network, attack and strategy.

        Raises:
            ValueError: for a parameter that is unknown or out of range.
            SparringError: for data that cannot be read or a strategy that cannot work so.
        """
        self.comm, self.parameters = comm, (chosen := parse(parameters))
        torch.set_num_threads(chosen.threads_per_process)
        if torch.get_num_interop_threads() != 1:  # may be set only once in a process
            torch.set_num_interop_threads(1)
        self.dataset = _load_data(chosen.dataset, chosen.normalize)
        self.model = networks.build(chosen.network, chosen.seed, getattr(torch, chosen.dtype))
        self.strategy = build_strategy(chosen)
        self.strategy.check(comm.size)
        self.compute = compute_for(
            chosen.backend,
            self.model,
            self.dataset.train,
            Batches(len(self.dataset.train), chosen.batch_size, chosen.seed),
            self._training_attack(),
            self._optimizer,
        )

    def run(self) -> None:
        """Train; this is what is timed."""
        run = Run(
            self.comm, self.compute, self.updates, record_strength=self.parameters.record_strength
        )
        with self.compute.in_place(self.comm.allgather):
            self.log = guarded(self.strategy, run)

    def observe(self, seconds: float) -> dict[str, Any]:
        """The repetition's metrics, and on every rank the work for the accuracies.

        Raises:
            SparringError: if the ranks' weights parted, or training diverged.
        """
        losses = [record.loss for record in self.log.records]
        self._share_weights()
        self.compute.check_weights()
        metrics = self.metrics(seconds, float(np.mean(losses)) if losses else None)
        metrics["data_digest"] = self.dataset.digest
        if not self.warmup and self.parameters.evaluation_images:
            metrics["clean_accuracy"] = self._accuracy(None)
            metrics["robust_accuracy"] = self._accuracy(
                self._attack(self.parameters.evaluation_steps)
            )
        if not self.warmup and self.parameters.strategy == "sequential":
            with self.compute.in_place(self.comm.allgather):  # as they are in training
                metrics |= shard_times(self.compute)
        return metrics

    def details(self) -> list[dict[str, Any]]:
        """One row per update, where the study asks for them."""
        if not self.parameters.details or self.warmup:
            return []
        return [
            {
                "update": record.update,
                "batch": record.batch,
                "generator": record.generator,
                "first_version": record.first_version,
                "last_version": record.last_version,
                "staleness": record.staleness,
                "made_loss": record.made_loss,
                "consumed_loss": record.loss,
            }
            for record in self.log.records
        ]

    def _optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        # Fused: one pass over weights, gradients and momentum; no strategy divides that time.
        chosen = self.parameters
        return torch.optim.SGD(
            parameters, lr=chosen.learning_rate, momentum=chosen.momentum, fused=True
        )

    def _training_attack(self) -> Attack:
        attack = self._attack(self.parameters.adversary_steps)
        if self.comm.rank != self.parameters.slow_rank:
            return attack
        return Slowed(attack, self.parameters.slow_step_seconds)

    def _attack(self, steps: int) -> Attack:
        chosen = self.parameters
        low, high = self.dataset.bounds
        if chosen.attack == "ascent":
            # The study's clamp is wider than what pixels can be: its adversaries leave the image.
            bounds = (-5.0, 5.0) if chosen.normalize else (low, high)
            return GradientAscent(
                step_size=chosen.step_size, steps=steps, bounds=bounds, backend=chosen.backend
            )
        if chosen.attack == "fgsm":
            return FGSM(epsilon=chosen.epsilon, bounds=(low, high), backend=chosen.backend)
        return PGD(
            epsilon=chosen.epsilon,
            step_size=chosen.step_size,
            steps=steps,
            norm="l2" if chosen.attack == "pgd_l2" else "linf",
            random_start=chosen.random_start,
            bounds=(low, high),
            backend=chosen.backend,
        )

    def _share_weights(self) -> None:
        """Give every rank the trained weights; ranks that trained them too must have the same."""
        weights = np.empty(self.compute.weight_count, self.compute.dtype)
        self.compute.read_weights(weights)
        if self.strategy.everywhere:
            digest = hashlib.sha256(weights.tobytes()).hexdigest()
            if len(set(self.comm.allgather(digest))) > 1:
                raise SparringError("the ranks' weights parted during training")
        self.comm.Bcast(weights)
        self.compute.write_weights(weights)

    def _accuracy(self, attack: Attack | None) -> float:
        """Accuracy on the first test images, counted by all ranks together."""
        number = min(self.parameters.evaluation_images, len(self.dataset.test))
        part = range(number)[shard(number, self.comm.size, self.comm.rank)]
        correct = count_correct(
            self.model, self.dataset.test, part, attack, seed=self.parameters.seed
        )
        request_total = np.array(correct)
        request = self.comm.Iallreduce(MPI.IN_PLACE, request_total)
        while not request.Test():  # ranks may share cores: do not spin
            time.sleep(1e-3)
        return int(request_total) / number
