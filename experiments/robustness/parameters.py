"""What the study of robustness may set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from experiments.parameters import validated

CALIBRATIONS = Path(__file__).parents[1] / "calibrations"


class Parameters(BaseModel):
    """Names are columns of the study's table.

    ``arm`` names a way of training; arms of one seed begin with the same weights and take the same
    minibatches in the same numbering. Where ``virtual_processes`` is above 1, the order of arrivals
    of so many ranks is simulated on the machine ``calibration``, and trained in that order on this
    one (``source`` is ``simulated``). On the simulated clock an attack has ``clock_steps`` steps
    (0: its own): a laptop's few long steps stand for the many short ones that 32 ranks are needed
    for. A step of a refresh is one step of that clock.

    ``margin``, ``alpha``, ``power``, ``baseline`` and ``endpoint`` are the test's, stated here
    before anything is run; `plots robustness` reads them from the table.
    """

    model_config = ConfigDict(extra="forbid")

    arm: str = Field(pattern=r"^[a-z0-9][a-z0-9_ ,.<>=-]*$")
    strategy: Literal["sequential", "pipeline", "sharded"]
    processes: Literal[1] = 1
    threads_per_process: int = Field(1, ge=1)
    virtual_processes: int = Field(1, ge=1)
    calibration: str = "study-node"
    clock_steps: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    backend: Literal["auto", "torch", "fused"] = "auto"

    dataset: str = "mnist-5k"
    network: Literal["study", "madry"] = "study"
    recipe: Literal["pgd", "fast"] = "pgd"
    updates: int = Field(ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(gt=0)
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = Field(0.0, ge=0)
    epsilon: float = Field(0.3, gt=0)
    adversary_steps: int = Field(ge=1)
    step_size: float = Field(gt=0)

    overlap: bool = False
    trainers: int = Field(1, ge=0)  # 0: "auto"
    receive_interval: int = 1
    send_interval: int = 1
    weight_sends: str = "on_change"
    max_staleness: int = -1  # a negative number is no bound: TOML has no null
    assignment: str = "static"
    refresh_steps: int = 0
    refresh_scale: float = 1.0

    evaluation_images: int = Field(1000, ge=1)
    curve_images: int = Field(200, ge=1)
    curve_interval: int = Field(100, ge=1)
    target: float = Field(0.8, gt=0, lt=1)
    deep_seed: int = -1  # the seed whose networks are also attacked with restarts; -1: none
    deep_restarts: int = Field(10, ge=1)
    autoattack: bool = False

    role: Literal["arm", "sweep"] = "arm"
    baseline: str = "sequential"
    endpoint: str = "pgd_40_accuracy"
    margin: float = Field(0.01, gt=0)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    power: float = Field(0.8, gt=0, lt=1)


def parse(parameters: dict[str, Any]) -> Parameters:
    """The parameters of a point.

    Raises:
        ValueError: see `experiments.parameters.validated`.
    """
    return validated(Parameters, parameters)


def calibration_file(name: str) -> Path:
    """A calibration that ships with the studies, by its name, or a path."""
    shipped = CALIBRATIONS / f"{name}.toml"
    return shipped if shipped.is_file() else Path(name)
