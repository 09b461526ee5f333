"""Train one point by virtual execution: what `experiments.virtual` writes in its table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

#: Test images of the accuracies on the way.
CURVE_IMAGES = 1000
#: How weights travel: by credits, or in the study's unbounded queues.
FLOWS = ("credits", "live", "fifo", "news", "drain")


#: Who spends the time of a copy of the weights; see `StudyQueues`.
COPIES = ("both", "receiver")


def flow_name(flow: str, per_look: int, copied_by: str) -> str:
    """How weights travel, in the words of the table."""
    words = [flow]
    if per_look > 1 and flow not in ("credits", "drain"):
        words.append(str(per_look))
    if copied_by != "both" and flow != "credits":
        words.append(copied_by)
    return " ".join(words)


def queues_of(flow: str, per_look: int, copied_by: Literal["both", "receiver"]) -> Any:
    """The study's queues of a flow; None for credits."""
    from sparring.modelling.simulator import StudyQueues

    if flow == "credits":
        return None
    return StudyQueues(
        per_look=0 if flow == "drain" else per_look,
        content="live" if flow == "live" else "sent",
        only_news=flow == "news",
        copied_by=copied_by,
    )


def train(parameters: dict[str, Any], machine: Path, seed: int, queues: Any, backend: str,
          every: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:  # fmt: skip
    """Train one point; what was found, by the columns of the table, and the curve.

    ``queues`` are the study's, or None. The curve has the accuracy on the first test images after
    every so many updates (0: none).
    """
    import torch

    from sparring import data, networks
    from sparring.attacks import GradientAscent
    from sparring.batches import Batches
    from sparring.compute.fused import compute_for
    from sparring.data.dataset import Split
    from sparring.evaluation import count_correct
    from sparring.modelling.calibration.calibration import load
    from sparring.modelling.study_split import StudySplit
    from sparring.modelling.virtual import execute
    from sparring.strategies import Pipeline, Sequential, Strategy
    from sparring.strategies.telemetry import BatchRecord

    processes, batch_size = parameters["processes"], parameters["batch_size"]
    calibration = load(machine)
    dataset = data.load(parameters["dataset"], normalize=True)
    size = min(parameters["images"] or len(dataset.train), len(dataset.train))
    split = Split(dataset.train.pixels[:size], dataset.train.classes[:size], dataset.train.values)
    strategy: Strategy = Sequential()
    batches = Batches(size, batch_size, seed)
    if processes > 1:
        batches = StudySplit(size, batch_size, seed, processes - 1)
        strategy = Pipeline(
            receive_interval=parameters["receive_interval"], max_probes=200,
            study_partial_batches=parameters["study_partial_batches"],
        )  # fmt: skip
    model = networks.build("study", seed)
    attack = GradientAscent(steps=parameters["adversary_steps"], backend=backend)
    compute = compute_for(
        backend, model, split, batches, attack,
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.5),
    )  # fmt: skip
    length, epochs = batches.epoch_length, parameters["epochs"]
    began = time.perf_counter()
    metric, curve = GradientAscent(steps=32, backend=backend), []

    def look(record: BatchRecord, seconds: float) -> None:
        done = record.update + 1
        if every and (done % every == 0 or done == epochs * length):
            right = count_correct(model, dataset.test, range(CURVE_IMAGES), metric, seed=seed)
            curve.append({
                "update": done, "simulated_seconds": seconds, "loss": record.loss,
                "robust_accuracy": right / CURVE_IMAGES, "staleness": record.staleness,
            })  # fmt: skip

    result, _ = execute(
        strategy, compute, epochs * length, calibration, processes, seed=seed,
        queues=queues if processes > 1 else None, on_update=look,
    )  # fmt: skip
    tested = min(parameters["evaluation_images"], len(dataset.test))
    correct = count_correct(model, dataset.test, range(tested), metric, seed=seed)
    ends = [0.0, *result.update_times[length - 1 :: length]]
    losses = [record.loss for record in result.records]
    found = {
        "seconds": result.seconds, "updates": epochs * length, "batches": epochs * length,
        "images_per_second": epochs * size / result.seconds,
        "staleness_mean": float(result.staleness.mean()),
        "staleness_max": int(result.staleness.max()), "loss": float(np.mean(losses)),
        "robust_accuracy": correct / tested, "first_epoch_seconds": ends[1],
        "last_epoch_seconds": ends[-1] - ends[-2],
        "last_epoch_loss": float(np.sum(losses[-length:])), "limit": result.limit.name,
        "waiting_weights": result.waiting_weights, "backend_used": compute.backend,
        "data_digest": dataset.digest, "computing_seconds": time.perf_counter() - began,
    }  # fmt: skip
    return found, curve
