"""A discrete-event model of the strategies on a described machine (``source = simulated``).

`simulate` plays a strategy's protocol, turn by turn, on the clock of a calibration. Nothing is
computed and no message is sent: a simulation knows when each thing would happen, and with which
version of the weights, and nothing of losses. `sparring.modelling.virtual` computes those.
"""

from sparring.modelling.simulator.job import Job
from sparring.modelling.simulator.limits import Limit
from sparring.modelling.simulator.result import Result
from sparring.modelling.simulator.run import simulate
from sparring.modelling.simulator.study import StudyQueues

__all__ = ["Job", "Limit", "Result", "StudyQueues", "simulate"]
