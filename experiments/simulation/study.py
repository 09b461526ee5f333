"""What `experiments.simulation` reads, and the rows that it makes of it."""

from __future__ import annotations

import hashlib
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.tables.table import ROW_COLUMNS, SCHEMA_VERSION, text_of
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration, load
from sparring.modelling.simulator import Job, Result, StudyQueues, simulate
from sparring.modelling.study_split import StudySplit
from sparring.strategies import STRATEGIES, Pipeline, Sequential, Strategy

COLUMNS = (
    *ROW_COLUMNS, "strategy", "variant", "definition", "machine", "calibrated",
    "adversary_steps", "batch_size", "updates", "batches", "images_per_second", "speedup",
    "efficiency", "trainers", "staleness_mean", "staleness_max", "trainer_utilisation",
    "generator_utilisation", "waiting_batches_mean", "waiting_batches_max",
    "waiting_weights_max", "limit", "generation_share", "update_share", "communication_share",
    "imbalance_share", "fill_seconds", "simulating_seconds",
)  # fmt: skip

#: The study's trainer says how long an epoch took when it has done so many updates.
STUDY_UPDATES = 933

Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Between(_Strict):
    """A network: a message of n bytes takes latency + n / bytes_per_second."""

    latency: Annotated[float, Field(ge=0)]
    bytes_per_second: Annotated[float, Field(gt=0)]


class MachineEntry(_Strict):
    """A calibration, and the cluster that is made of it."""

    calibration: str
    title: str
    nodes: Count = 1
    cores_per_node: Count | None = None
    between: Between | None = None


class Series(_Strict):
    """One line of a figure: a strategy with options over numbers of processes."""

    definition: Literal["strong", "classical"]
    strategy: Literal["pipeline", "sharded", "data_parallel"]
    variant: str
    processes: tuple[Count, ...]
    batch_size: Count | None = None  # else the simulation's
    options: dict[str, Any] = {}


class StudyEntry(_Strict):
    """The original study's epoch."""

    calibration: str
    images: Count
    processes: tuple[Count, ...]
    max_probes: Count


class Simulation(_Strict):
    """The file."""

    adversary_steps: Count
    batch_size: Count
    updates: Count
    batches_per_generator: Count
    seed: Annotated[int, Field(ge=0)]
    machines: tuple[MachineEntry, ...]
    series: tuple[Series, ...]
    study: StudyEntry | None = None


def read(path: Path) -> Simulation:
    """Read a description.

    Raises:
        SparringError: if it cannot be read, or a key is missing, unknown or out of range.
    """
    try:
        return Simulation.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Input should be ")
        raise SparringError(f"{path}: key '{key}': expected {told}") from None
    except (OSError, ValueError) as error:
        raise SparringError(f"{path}: cannot be read as a simulation ({error})") from None


def machine_of(entry: MachineEntry, folder: Path, here: Path | None) -> Calibration | None:
    """The cluster of an entry; None if it asks for a calibration of this machine that is not there.

    Raises:
        SparringError: if its calibration is wrong, or it has several nodes and no network.
    """
    if entry.calibration == "here":
        if here is None:
            return None
        calibration = load(here)
    else:
        calibration = load(folder / entry.calibration)
    if entry.nodes > 1 and entry.between is None:
        raise SparringError(
            f"machine '{entry.calibration}': expected 'between', the network of {entry.nodes} nodes"
        )
    changes: dict[str, Any] = {
        "nodes": entry.nodes, "cores_per_node": entry.cores_per_node or calibration.cores_per_node
    }  # fmt: skip
    if entry.between is not None:
        size = 1_000_000
        seconds = entry.between.latency + size / entry.between.bytes_per_second
        changes["between"] = {"messages": [
            {"bytes": 0, "seconds": {"median": entry.between.latency}},
            {"bytes": size, "seconds": {"median": seconds}},
        ]}  # fmt: skip
    return Calibration.model_validate({**calibration.model_dump(), **changes})


def point(
    simulation: Simulation, series: Series, calibration: Calibration, processes: int
) -> dict[str, Any]:
    """Simulate one point, and the sequential run that its speed-up is counted from.

    Raises:
        SparringError: if the strategy has no such options.
    """
    batch = series.batch_size or simulation.batch_size
    if series.definition == "classical":
        batch *= processes
    updates = simulation.updates
    if series.strategy == "pipeline":
        updates = max(updates, simulation.batches_per_generator * (processes - 1))
    try:
        strategy: Strategy = STRATEGIES[series.strategy](**series.options)
    except (TypeError, ValueError) as error:
        raise SparringError(f"series '{series.variant}': {error}") from None
    job = Job(updates, simulation.adversary_steps, batch, updates)
    began = time.perf_counter()
    result = simulate(strategy, job, calibration, processes, seed=simulation.seed)
    spent = time.perf_counter() - began
    baseline = simulate(
        Sequential(), Job(100, simulation.adversary_steps, batch), calibration, 1,
        seed=simulation.seed,
    )  # fmt: skip
    return row_of(
        result, job, calibration, series.strategy, series.variant, series.definition,
        simulation.seed, baseline.seconds / 100 * updates, spent,
    )  # fmt: skip


def study_point(
    simulation: Simulation, study: StudyEntry, calibration: Calibration, processes: int
) -> dict[str, Any]:
    """The study's epoch as its own clock had it: to the 933rd update on several processes."""
    queues: StudyQueues | None = None
    strategy: Strategy = Sequential()
    variant = "sequential"
    sizes: Callable[[int], int] | None = None
    length = -(-study.images // simulation.batch_size)
    if processes > 1:
        split = StudySplit(study.images, simulation.batch_size, simulation.seed, processes - 1)
        length, sizes = split.epoch_length, split.rows
        queues, variant = StudyQueues(content="live"), "pipeline, as in the study"
        strategy = Pipeline(study_partial_batches=True, max_probes=study.max_probes)
    job = Job(length, simulation.adversary_steps, simulation.batch_size, length, sizes)
    began = time.perf_counter()
    result = simulate(strategy, job, calibration, processes, seed=simulation.seed, queues=queues)
    spent = time.perf_counter() - began
    one = simulate(
        Sequential(), Job(length, simulation.adversary_steps, simulation.batch_size), calibration, 1
    )
    row = row_of(
        result, job, calibration, "pipeline" if processes > 1 else "sequential", variant,
        "study", simulation.seed, one.seconds, spent,
    )  # fmt: skip
    counted = STUDY_UPDATES if processes > 1 else length
    seconds = float(result.update_times[counted - 1])
    first = simulate(
        Sequential(), Job(-(-study.images // simulation.batch_size), simulation.adversary_steps,
                          simulation.batch_size), calibration, 1,
    ).seconds  # fmt: skip
    row.update(
        seconds=text_of(seconds), updates=text_of(counted), speedup=text_of(first / seconds),
        efficiency=text_of(first / seconds / processes),
    )  # fmt: skip
    return row


def row_of(
    result: Result, job: Job, machine: Calibration, strategy: str, variant: str, definition: str,
    seed: int, baseline_seconds: float, spent: float,
) -> dict[str, str]:  # fmt: skip
    """A row of the table."""
    images = sum(job.rows(number) for number in range(job.updates))
    speedup = baseline_seconds / result.seconds
    identity = (
        machine.name, variant, definition, result.processes, job.updates, job.steps,
        job.batch_size, seed,
    )  # fmt: skip
    point_id = "p" + hashlib.sha256(repr(identity).encode()).hexdigest()[:12]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    staleness = result.staleness
    row = {
        "schema_version": SCHEMA_VERSION, "study": "simulation",
        "point": point_id,
        "launch": now, "repetition": 0, "warmup": False, "order": 0, "source": "simulated",
        "workload": "sparring.modelling.simulator", "workload_version": 1,
        "processes": result.processes, "threads_per_process": 1, "cores": result.processes,
        "seed": seed, "backend": machine.backend, "status": "ok", "message": "",
        "seconds": result.seconds,
        "environment": "", "started_at": now, "strategy": strategy, "variant": variant,
        "definition": definition, "machine": machine.name, "calibrated": machine.source,
        "adversary_steps": job.steps,
        "batch_size": job.batch_size, "updates": job.updates, "batches": job.updates,
        "images_per_second": images / result.seconds, "speedup": speedup,
        "efficiency": speedup / result.processes, "trainers": result.trainers,
        "staleness_mean": float(staleness.mean()),
        "staleness_max": int(staleness.max()), "trainer_utilisation": result.trainer_utilisation,
        "generator_utilisation": result.generator_utilisation,
        "waiting_batches_mean": float(result.waiting_batches.mean()),
        "waiting_batches_max": int(result.waiting_batches.max()),
        "waiting_weights_max": result.waiting_weights, "limit": result.limit.name,
        **{f"{name}_share": share for name, share in result.limit.shares.items()},
        "fill_seconds": result.fill_seconds, "simulating_seconds": spent,
    }  # fmt: skip
    return {name: text_of(row[name]) for name in COLUMNS}
