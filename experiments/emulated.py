"""The workload of the scaling studies with ranks that sleep instead of computing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from experiments.parameters import Parameters, build_strategy, parse
from experiments.shard_times import shard_times
from experiments.trained import Trained
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration, load
from sparring.modelling.calibration.files import digest, machine_name, newest
from sparring.modelling.emulation import (
    CPU_LIMIT,
    EmulatedCompute,
    Napping,
    expected_active_cores,
)
from sparring.strategies import Run
from sparring.strategies.failure import guarded

if TYPE_CHECKING:
    from mpi4py import MPI

#: Images in the training sets, which need not be there.
TRAINING_IMAGES = {"mnist-5k": 4_000, "mnist": 60_000, "fashion-mnist": 60_000}

#: Environment variable with which the harness tells where the tables are.
RESULTS = "HARNESS_RESULTS"


class Emulated(Trained):
    """Adversarial training by one of the strategies, emulated; see `experiments.training`.

    Strategies and messages are real; computing sleeps for its calibrated time. Besides the
    parameters of training, ``calibration`` names the file: in the folder ``calibration`` beside the
    tables, or a path. Where it is empty, the newest of this machine is taken.

    Metrics (rank 0's): ``batches``, ``images_per_second``, ``staleness_mean``, ``staleness_max``,
    ``fill_seconds``, ``drain_seconds``, ``optimizer_seconds``, ``backend_used``, ``trainers_used``,
    ``waiting`` and what shards cost, as in training; losses and accuracies are none.
    ``calibration_digest`` and ``calibration_date`` tell what was emulated; ``emulation_cpu_share``
    is the CPU time that all ranks used in the timed region, for messages and protocol, over what
    this machine's cores offer in it, and ``emulation_limited`` whether that is above a fifth: such
    a row is slower than the real thing.
    """

    version = 1
    modules = (
        "sparring", "experiments.parameters", "experiments.shard_times", "experiments.trained"
    )  # fmt: skip
    packages = ("numpy",)
    compute: EmulatedCompute

    @staticmethod
    def plan(parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters with the calibration that they leave open.

        Raises:
            ValueError: if there is none for this machine.
        """
        if parameters.get("calibration"):
            return parameters
        chosen = _parse(parameters)
        folder = _folder()
        path = newest(
            folder, network=chosen.network, dtype=chosen.dtype, backends=_backends(chosen),
            machine=machine_name(),
        )  # fmt: skip
        if path is None:
            raise ValueError(
                f"{folder}: no calibration of {machine_name()} for network {chosen.network}, "
                f"{chosen.dtype}, backend {chosen.backend}; `python -m sparring calibrate "
                f"{_options(chosen)} --results {folder.parent}` makes one in about a minute"
            )
        return {**parameters, "calibration": path.name}

    @staticmethod
    def check(parameters: dict[str, Any]) -> None:
        """Whether a point with these parameters can be emulated.

        Raises:
            ValueError: if not, with one sentence that names the parameter or the file.
        """
        try:
            chosen = _parse(parameters)
            build_strategy(chosen).check(chosen.processes)
            _load(parameters, chosen)
        except SparringError as error:
            raise ValueError(str(error)) from None

    def setup(self, comm: MPI.Intracomm, parameters: dict[str, Any]) -> None:
        """Read the calibration on rank 0 and build the emulation on all.

        Raises:
            ValueError: for a parameter that is unknown or out of range.
            SparringError: for a calibration that cannot be used.
        """
        from mpi4py import MPI

        self.comm, self.parameters = comm, (chosen := _parse(parameters))
        self.strategy = build_strategy(chosen)
        self.strategy.check(comm.size)
        read = (_load(parameters, chosen), digest(_path(parameters))) if comm.rank == 0 else None
        self.calibration, self.digest = comm.bcast(read)
        node = cast("MPI.Intracomm", comm.Split_type(MPI.COMM_TYPE_SHARED))
        cpus = _cpus(node)
        crowd = max(1.0, node.size / cpus)
        self.cores = comm.allreduce(cpus if node.rank == 0 else 0)  # of all nodes
        node.Free()
        slow = comm.rank == chosen.slow_rank
        self.compute = EmulatedCompute(
            self.calibration,
            images=TRAINING_IMAGES[chosen.dataset],
            batch_size=chosen.batch_size,
            steps=chosen.adversary_steps,
            seed=chosen.seed,
            active_cores=expected_active_cores(
                self.calibration, strategy=chosen.strategy, processes=comm.size,
                batch_size=chosen.batch_size, steps=chosen.adversary_steps,
                trainer_generates=chosen.trainer_generates,
                refresh_steps=chosen.refresh_steps, trainers=chosen.trainers,
            ),
            step_delay=chosen.slow_step_seconds if slow else 0.0,
        )  # fmt: skip
        self.waiting = Napping(spin=False, sleeper=self.compute.sleeper, crowd=crowd)

    def run(self) -> None:
        """Pretend to train; this is what is timed."""
        run = Run(
            self.comm, self.compute, self.updates, waiting=self.waiting,
            record_strength=self.parameters.record_strength,
        )  # fmt: skip
        began = time.process_time()
        self.log = guarded(self.strategy, run)
        self.cpu_seconds = time.process_time() - began

    def observe(self, seconds: float) -> dict[str, Any]:
        """The repetition's metrics. Collective."""
        used = self.comm.allreduce(self.cpu_seconds)
        share = used / (self.cores * seconds)
        alone = self.parameters.strategy == "sequential" and not self.warmup
        return {
            **self.metrics(seconds, loss=None),
            "calibration_digest": self.digest,
            "calibration_date": self.calibration.date,
            "emulation_cpu_share": share,
            "emulation_limited": share > CPU_LIMIT,
            **(shard_times(self.compute) if alone else {}),
        }

    def rank_report(self) -> dict[str, Any]:
        """This rank's row of the ranks table, with the CPU time that it really used."""
        return {**super().rank_report(), "cpu_seconds": self.cpu_seconds}


def _parse(parameters: dict[str, Any]) -> Parameters:
    chosen = parse({name: v for name, v in parameters.items() if name != "calibration"})
    if chosen.dataset not in TRAINING_IMAGES:
        known = ", ".join(TRAINING_IMAGES)
        raise ValueError(f"dataset must be one of {known}, not '{chosen.dataset}'")
    if chosen.threads_per_process != 1:
        raise ValueError(
            "threads_per_process must be 1: calibrations are of one thread, not "
            f"{chosen.threads_per_process}"
        )
    return chosen


def _backends(chosen: Parameters) -> tuple[str, ...]:
    """What computes with this parameter ``backend``, the likeliest first."""
    if chosen.backend != "auto":
        return (chosen.backend,)
    if os.environ.get("SPARRING_BACKEND", "auto").strip().lower() == "torch":
        return ("torch",)
    return ("fused", "torch")


def _options(chosen: Parameters) -> str:
    return f"--network {chosen.network} --dtype {chosen.dtype} --backend {chosen.backend}"


def _folder() -> Path:
    return Path(os.environ.get(RESULTS, "results")) / "calibration"


def _path(parameters: dict[str, Any]) -> Path:
    named = Path(str(parameters["calibration"]))
    inside = _folder() / named
    return inside if inside.is_file() or not named.is_file() else named


def _load(parameters: dict[str, Any], chosen: Parameters) -> Calibration:
    """The calibration that the parameters name, if it is of what they train.

    Raises:
        SparringError: if it cannot be read, or is of another network or dtype.
    """
    path = _path(parameters)
    found = load(path)
    for name in ("network", "dtype"):
        if getattr(found, name) != getattr(chosen, name):
            raise SparringError(
                f"{path}: is of {name} {getattr(found, name)}; expected one of "
                f"{getattr(chosen, name)}"
            )
    if found.source == "measured" and found.backend not in _backends(chosen):
        raise SparringError(
            f"{path}: is of backend {found.backend}; expected one of {chosen.backend}"
        )
    return found


def _cpus(node: MPI.Intracomm) -> int:
    """Cores that the ranks of a node may use together."""
    if hasattr(os, "sched_getaffinity"):
        return len(set().union(*node.allgather(os.sched_getaffinity(0))))
    return os.cpu_count() or 1
