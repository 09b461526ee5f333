"""One call for every strategy."""

from __future__ import annotations

from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration
from sparring.modelling.simulator import synchronous
from sparring.modelling.simulator.job import Job
from sparring.modelling.simulator.machine import Machine
from sparring.modelling.simulator.pipeline import simulate_pipeline
from sparring.modelling.simulator.result import Result
from sparring.modelling.simulator.study import StudyQueues
from sparring.strategies import DataParallel, Pipeline, Sequential, Sharded, Strategy


def simulate(
    strategy: Strategy,
    job: Job,
    calibration: Calibration,
    processes: int,
    *,
    seed: int = 0,
    queues: StudyQueues | None = None,
) -> Result:
    """Simulate a run; the same arguments give the same result.

    Args:
        strategy: with its options.
        job: what is trained.
        calibration: the machine.
        processes: ranks.
        seed: of all draws of durations.
        queues: weights queue without bound, as in the original study, instead of by credits
            (`pipeline` only).

    Raises:
        SparringError: if the strategy cannot work with so many ranks, the machine has fewer cores,
            or the simulator does not know the strategy or the combination.
    """
    strategy.check(processes)
    machine = Machine(calibration, processes, seed)
    if queues is not None and not isinstance(strategy, Pipeline):
        raise SparringError("unbounded queues of weights belong to strategy 'pipeline'")
    if isinstance(strategy, Pipeline):
        return simulate_pipeline(strategy, machine, job, queues)
    if isinstance(strategy, Sharded):
        return synchronous.sharded(strategy, machine, job)
    if isinstance(strategy, DataParallel):
        return synchronous.data_parallel(strategy, machine, job)
    if isinstance(strategy, Sequential):
        return synchronous.sequential(machine, job)
    raise SparringError(f"the simulator does not know the strategy {type(strategy).__name__}")
