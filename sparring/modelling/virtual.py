"""Virtual execution: simulated time, real training.

The simulator decides when each thing happens. The adversaries and updates that it only timed are
then computed on one process in that order, each ascent step with exactly the version of the weights
that it would have seen: the model that so many processes would have trained, deterministic by seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sparring.compute.interface import Compute
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration
from sparring.modelling.simulator import Job, Result, StudyQueues, simulate
from sparring.strategies import Pipeline, RankLog, Run, Sharded, Strategy
from sparring.strategies.replay import Replay
from sparring.strategies.telemetry import BatchRecord

#: What was trained on, and the simulated seconds at the end of its update.
OnUpdate = Callable[[BatchRecord, float], None]


def job_of(compute: Compute, updates: int) -> Job:
    """What a compute would train in so many updates, for the simulator."""
    return Job(updates, compute.attack_steps, compute.rows(0), compute.epoch_length, compute.rows)


def replay_of(strategy: Strategy, result: Result) -> Replay:
    """What trains on one process as a simulated strategy would have trained.

    Raises:
        SparringError: if batches are not received as `Replay` needs it.
    """
    _check(strategy)
    if isinstance(strategy, Pipeline):
        return Replay(
            result.records, strategy.study_partial_batches,
            strategy.refresh_steps, strategy.refresh_scale, result.trainers,
        )  # fmt: skip
    if isinstance(strategy, Sharded):
        return Replay(result.records, False, strategy.refresh_steps, strategy.refresh_scale)
    return Replay(result.records)


def _check(strategy: Strategy) -> None:
    if not isinstance(strategy, Pipeline) or not strategy.study_partial_batches:
        return
    if strategy.receive == "completion":
        raise SparringError("study_partial_batches needs receive 'probe', which has one buffer")


def execute(
    strategy: Strategy,
    compute: Compute,
    updates: int,
    calibration: Calibration,
    processes: int,
    *,
    seed: int = 0,
    queues: StudyQueues | None = None,
    on_update: OnUpdate | None = None,
) -> tuple[Result, RankLog]:
    """Train ``compute`` as ``processes`` ranks of the calibrated machine would have trained it.

    Args:
        strategy: with its options; not those that drop batches.
        compute: in its initial state; holds the trained weights afterwards.
        updates: from 1.
        calibration: the machine.
        processes: ranks that are simulated.
        seed: of the simulated durations.
        queues: see `simulate`.
        on_update: called after each update with its record and the simulated second in which it
            ended; ``compute`` then has the new weights, and may be read.

    Returns:
        the simulation, its records with the losses that were computed; and the log of computing.

    Raises:
        SparringError: see `simulate`; or if training diverges, or batches are not received as
            `Replay` needs it.
    """
    from mpi4py import MPI

    _check(strategy)
    result = simulate(
        strategy, job_of(compute, updates), calibration, processes, seed=seed, queues=queues
    )

    def tell(record: BatchRecord) -> None:
        assert on_update is not None
        on_update(record, float(result.update_times[record.update]))

    run = Run(MPI.COMM_SELF, compute, updates, on_update=tell if on_update else None)
    log = replay_of(strategy, result).train(run)
    return replace(result, records=tuple(log.records)), log
