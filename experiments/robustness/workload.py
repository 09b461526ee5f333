"""The workload of the robustness study: train a network by one of the arms, and attack it."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mpi4py import MPI

from experiments.parameters import build_strategy
from experiments.robustness.parameters import Parameters, calibration_file, parse
from sparring import checkpoint, data, networks
from sparring.batches import Batches
from sparring.compute.fused import compute_for
from sparring.compute.interface import Array
from sparring.data.dataset import Dataset
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import load
from sparring.modelling.simulator import Job, Result, simulate
from sparring.modelling.virtual import replay_of
from sparring.recipes import RECIPES
from sparring.robustness.evaluate import Evaluation
from sparring.robustness.measure import Subject
from sparring.robustness.scale import Scale
from sparring.robustness.suite import linf, study, suite
from sparring.strategies import Run
from sparring.strategies.base import Strategy
from sparring.strategies.telemetry import BatchRecord

#: Training that ends with a loss within this of log 10 never left the plateau at which all classes
#: are equally probable.
PLATEAU = 0.05


@cache
def _load_data(name: str) -> Dataset:
    return data.load(name)


class Robustness:
    """Adversarial training by one arm; the arms of a seed differ in nothing but their staleness.

    Metrics: ``clean_accuracy``, ``pgd_40_accuracy`` (the endpoint) and ``study_accuracy`` (the
    original study's metric) on the first ``evaluation_images`` test images; ``loss`` (mean of the
    last tenth of the updates), ``plateau`` (whether training never left it), ``staleness_mean``,
    ``staleness_max``, ``strength`` (median of a batch's loss under the weights that consumed it
    over that under those that made it), ``simulated_seconds`` (of the whole run on the machine
    ``calibration``), ``target_updates`` and ``target_seconds`` (when the curve first reached
    ``target``, in updates and simulated seconds; empty if never), ``backend_used``,
    ``data_digest``; of the seed ``deep_seed`` also ``pgd_100_accuracy``, ``margin_100_accuracy``,
    ``l2_accuracy``, ``worst_case_accuracy`` (L-infinity, with AutoAttack where asked for),
    ``autoattack_accuracy`` (first 1,000 images), and ``checkpoint``: its file in the folder
    ``checkpoints`` beside the table.

    Details: every ``curve_interval`` updates, accuracy under 10 steps of PGD on the first
    ``curve_images`` test images.
    """

    version = 1
    modules = ("sparring", "experiments.robustness", "experiments.parameters")
    packages = ("numpy", "torch")

    @staticmethod
    def check(parameters: dict[str, Any]) -> None:
        """Whether a point with these parameters can be run.

        Raises:
            ValueError: if not, with one sentence that names the parameter.
        """
        try:
            chosen = parse(parameters)
            build_strategy(chosen).check(chosen.virtual_processes)
            load(calibration_file(chosen.calibration))
            _load_data(chosen.dataset)
        except SparringError as error:
            raise ValueError(str(error)) from None

    def setup(self, comm: MPI.Intracomm, parameters: dict[str, Any]) -> None:
        """Load the data, build the network, and simulate the order of arrivals.

        Raises:
            ValueError: for a parameter that is unknown or out of range.
            SparringError: for data or a calibration that cannot be read.
        """
        self.comm, self.parameters = comm, (chosen := parse(parameters))
        torch.set_num_threads(chosen.threads_per_process)
        self.dataset = _load_data(chosen.dataset)
        self.model = networks.build(chosen.network, chosen.seed)
        recipe = RECIPES[chosen.recipe](
            chosen.updates, epsilon=chosen.epsilon, step_size=chosen.step_size,
            **({"steps": chosen.adversary_steps} if chosen.recipe == "pgd" else {}),
            backend=chosen.backend,
        ).with_changes(
            rate=chosen.learning_rate, optimizer=chosen.optimizer, momentum=chosen.momentum
        )  # fmt: skip
        batches = Batches(len(self.dataset.train), chosen.batch_size, chosen.seed)
        self.compute = compute_for(
            chosen.backend, self.model, self.dataset.train, batches, recipe.attack,
            recipe.build_optimizer,
        )  # fmt: skip
        self.compute.schedule(recipe.learning_rate, recipe.epsilon)
        self.simulated = self._simulate()

    def prepare(self, warmup: bool) -> None:
        """Go back to the initial weights."""
        self.compute.reset()
        self.snapshots: list[tuple[int, Array]] = []

    def run(self) -> None:
        """Train."""
        chosen = self.parameters

        def keep(record: BatchRecord) -> None:
            done = record.update + 1
            if done % chosen.curve_interval == 0 or done == chosen.updates:
                weights = np.empty(self.compute.weight_count, self.compute.dtype)
                self.compute.read_weights(weights)
                self.snapshots.append((done, weights))

        run = Run(self.comm, self.compute, chosen.updates, record_strength=True, on_update=keep)
        self.log = self._strategy().train(run)

    def observe(self, seconds: float) -> dict[str, Any]:
        """The repetition's metrics.

        Raises:
            SparringError: if training diverged.
        """
        self.compute.check_weights()
        chosen, records = self.parameters, self.log.records
        losses = [record.loss for record in records]
        ending = float(np.mean(losses[-max(1, len(losses) // 10) :]))
        staleness = [record.staleness for record in records]
        self.curve = self._curve()
        reached = [row for row in self.curve if row["accuracy"] >= chosen.target]
        evaluation = self._evaluation(chosen.evaluation_images)
        clean = evaluation.clean()
        metrics: dict[str, Any] = {
            "clean_accuracy": clean,
            "pgd_40_accuracy": self._under(evaluation, linf("pgd_40", chosen.epsilon,
                                                            chosen.epsilon / 30, 40)),
            "study_accuracy": self._under(evaluation, study()),
            "loss": ending,
            "plateau": str(abs(ending - math.log(10)) < PLATEAU).lower(),
            "staleness_mean": float(np.mean(staleness)),
            "staleness_max": max(staleness),
            "strength": _strength(records),
            "simulated_seconds": self.simulated.seconds,
            "target_updates": reached[0]["update"] if reached else None,
            "target_seconds": reached[0]["simulated_seconds"] if reached else None,
            "backend_used": self.compute.backend,
            "data_digest": self.dataset.digest,
        }  # fmt: skip
        if chosen.seed == chosen.deep_seed and chosen.role == "arm":
            metrics |= self._deep()
        return metrics

    def details(self) -> list[dict[str, Any]]:
        """The curve."""
        return self.curve

    def teardown(self) -> None:
        """Nothing outlives the process."""

    def _simulate(self) -> Result:
        """When each update would end, and which weights each ascent step would see."""
        chosen = self.parameters
        steps = chosen.clock_steps or chosen.adversary_steps
        job = Job(
            chosen.updates, steps, chosen.batch_size, self.compute.epoch_length, self.compute.rows
        )
        result = simulate(
            build_strategy(chosen), job, load(calibration_file(chosen.calibration)),
            chosen.virtual_processes, seed=chosen.seed,
        )  # fmt: skip
        records = (coarser(record, steps, chosen.adversary_steps) for record in result.records)
        return replace(result, records=tuple(records))

    def _strategy(self) -> Strategy:
        if self.parameters.virtual_processes == 1:
            return build_strategy(self.parameters)
        return replay_of(build_strategy(self.parameters), self.simulated)

    def _curve(self) -> list[dict[str, Any]]:
        """Accuracy and strength as training went on; the trained weights are back afterwards."""
        chosen, records, rows, last = self.parameters, self.log.records, [], 0
        entry = linf("pgd_10", chosen.epsilon, chosen.epsilon / 4, 10)
        for done, weights in self.snapshots:
            self.compute.write_weights(weights)
            evaluation = self._evaluation(chosen.curve_images)
            part = records[last:done]
            rows.append(
                {
                    "update": done,
                    "simulated_seconds": float(self.simulated.update_times[done - 1]),
                    "accuracy": self._under(evaluation, entry),
                    "loss": float(np.mean([record.loss for record in part])),
                    "strength": _strength(part),
                    "staleness_mean": float(np.mean([record.staleness for record in part])),
                }
            )
            last = done
        return rows

    def _evaluation(self, images: int) -> Evaluation:
        chosen = self.parameters
        subject = Subject(
            self.model, self.dataset.test, images, self.dataset.bounds, chosen.backend
        )
        # One seed for all: networks that are compared face the same random starts.
        return Evaluation(subject, Scale(False, chosen.backend), chosen.epsilon, seed=0)

    def _under(self, evaluation: Evaluation, entry: Any) -> float:
        return float(evaluation.attack(entry).right.mean())

    def _deep(self) -> dict[str, Any]:
        """Attacks with restarts, and a checkpoint for those that take still longer."""
        chosen = self.parameters
        evaluation = self._evaluation(chosen.evaluation_images)
        evaluation.clean()
        names = ("pgd_40", "pgd_100", "margin_100", "l2", "study")
        for entry in suite(chosen.epsilon, chosen.deep_restarts):
            evaluation.attack(entry)
        found = {row.name: row.value for row in evaluation.rows}
        metrics: dict[str, Any] = {
            f"{name}_accuracy": found[entry.name]
            for name, entry in zip(names, suite(chosen.epsilon, chosen.deep_restarts), strict=True)
            if name in ("pgd_100", "margin_100", "l2")
        }
        if chosen.autoattack:
            evaluation.autoattack()
            metrics["autoattack_accuracy"] = evaluation.rows[-1].value
        linf_names = [n for n, t in evaluation.threats.items() if t in ("clean", "linf")]
        metrics["worst_case_accuracy"] = float(evaluation.worst(linf_names).mean())
        metrics["checkpoint"] = self._keep()
        return metrics

    def _keep(self) -> str:
        """Save the network under a name that is free."""
        chosen = self.parameters
        folder = Path(os.environ.get("HARNESS_RESULTS", ".")) / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        arm = re.sub(r"[^a-z0-9]+", "-", chosen.arm)
        stem = f"{arm}.{chosen.dataset}.{chosen.updates}.{chosen.seed}"
        numbers = (f"robustness.{stem}.{number}.pt" for number in range(1, 10_000))
        path = next(p for name in numbers if not (p := folder / name).exists())
        about = {
            "network": type(self.model).__name__, "attack": repr(self.compute.attack_method),
            "dataset": self.dataset.name, "bounds": list(self.dataset.bounds),
        }  # fmt: skip
        settings = {"seed": chosen.seed, "batch_size": chosen.batch_size}
        checkpoint.save(path, checkpoint.capture(
            self.model, self.compute.optimizer, chosen.updates, settings, about
        ))  # fmt: skip
        return path.name


def coarser(record: BatchRecord, clock_steps: int, steps: int) -> BatchRecord:
    """The record of an attack of ``clock_steps`` steps as one of ``steps`` longer ones.

    Each long step begins when the first of the short ones does that it stands for, and sees the
    weights of that moment.
    """
    versions: list[tuple[int, int]] = []
    for step in range(steps):
        begun = step * clock_steps // steps
        version = [seen for change, seen in record.versions if change <= begun][-1]
        if not versions or versions[-1][1] != version:
            versions.append((step, version))
    return replace(record, versions=tuple(versions))


def _strength(records: list[BatchRecord]) -> float:
    """Median ratio of a batch's loss when it was consumed to that when it was made."""
    ratios = [r.loss / r.made_loss for r in records if r.made_loss]
    return float(np.median(ratios)) if ratios else math.nan


__all__ = ["Parameters", "Robustness"]
