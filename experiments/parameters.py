"""What a study of training may set, and the strategy that its options make."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparring.errors import did_you_mean
from sparring.strategies import STRATEGIES, Strategy

Kind = TypeVar("Kind", bound=BaseModel)


class Parameters(BaseModel):
    """What a study may set; names are columns of its table.

    The defaults are the original study's training: its network, attack, optimizer and
    normalised images.
    """

    model_config = ConfigDict(extra="forbid")

    strategy: Literal["sequential", "pipeline", "sharded", "data_parallel"]
    processes: int = Field(ge=1)
    threads_per_process: int = Field(1, ge=1)
    seed: int = Field(0, ge=0)
    backend: Literal["auto", "torch", "fused"] = "auto"
    dtype: Literal["float32", "float64"] = "float32"

    dataset: str = "mnist-5k"
    normalize: bool = True
    network: Literal["study", "madry", "resnet20"] = "study"
    batch_size: int = Field(64, ge=1)
    updates: int = Field(ge=1)
    warmup_updates: int = Field(2, ge=1)
    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.5, ge=0)

    attack: Literal["ascent", "pgd", "pgd_l2", "fgsm"] = "ascent"
    adversary_steps: int = Field(ge=1)
    step_size: float = Field(1.0, gt=0)
    epsilon: float = Field(0.3, ge=0)
    random_start: bool = False

    # Options of strategies; each is described with the strategy's class.
    trainers: int = Field(1, ge=0)  # 0: "auto"
    receive_interval: int = 1
    send_interval: int = 1
    send_unit: str = "updates"
    weight_sends: str = "every_turn"
    credits: int = 1
    weights: str = "messages"
    messages: str = "two"
    receive: str = "probe"
    max_probes: int = 64
    send: str = "synchronous"
    assignment: str = "static"
    trainer_generates: bool = False
    max_staleness: int = -1  # a negative number is no bound: TOML has no null
    staleness_policy: str = "wait"
    study_partial_batches: bool = False
    overlap: bool = False
    refresh_steps: int = 0
    refresh_scale: float = 1.0
    batch_norm: str = "synchronized"
    reduction: str = "auto"
    trainer_share: float = 1.0
    broadcast: str = "shared_memory"
    record_strength: bool = False
    details: bool = False  # a row per update in the study's table of details

    # A generator (rank; -1 is none) whose every ascent step takes so much longer.
    slow_rank: int = -1
    slow_step_seconds: float = Field(0.0, ge=0)

    evaluation_images: int = Field(0, ge=0)
    evaluation_steps: int = Field(32, ge=1)

    # Names that only label a study's points.
    variant: str = ""
    definition: str = ""
    size: int = Field(0, ge=0)


def parse(parameters: dict[str, Any]) -> Parameters:
    """The parameters of a point.

    Raises:
        ValueError: see `validated`.
    """
    return validated(Parameters, parameters)


def validated(kind: type[Kind], parameters: dict[str, Any]) -> Kind:
    """Parameters of a point as a model of them.

    Raises:
        ValueError: with one sentence, if one of them is unknown, missing or out of range.
    """
    if parameters.get("backend") == "":  # the harness's own, where a study names none
        parameters = {name: value for name, value in parameters.items() if name != "backend"}
    try:
        return kind(**parameters)
    except ValidationError as error:
        detail = error.errors()[0]
        name, found = detail["loc"][0], detail["input"]
        if detail["type"] == "missing":
            near = did_you_mean(name, set(parameters) - set(kind.model_fields))
            told = near.replace("did you mean", "is it") or f"; expected {name} = ..."
            raise ValueError(f"the parameter '{name}' is missing{told}") from None
        if detail["type"] == "extra_forbidden":
            known = ", ".join(sorted(kind.model_fields))
            near = did_you_mean(name, kind.model_fields)
            raise ValueError(f"unknown parameter '{name}'; parameters are {known}{near}") from None
        told = detail["msg"].removeprefix("Input should be ").partition(", unable to")[0]
        told = told.replace("a valid integer", "a whole number").replace("a valid ", "a ")
        if told.startswith(("greater", "less")):
            told = f"a number {told}"
        near = ""
        if detail["type"] == "literal_error":
            near = did_you_mean(found, re.findall(r"'([^']*)'", told))
        raise ValueError(f"parameter '{name}': expected {told}, found {found!r}{near}") from None


def build_strategy(chosen: BaseModel) -> Strategy:
    """The strategy that the parameter ``strategy`` names, with its options among the others.

    Raises:
        ValueError: if the options contradict each other.
    """
    values = dict(chosen)
    kind = STRATEGIES[values["strategy"]]
    known: set[str] = (
        {field.name for field in dataclasses.fields(kind)}
        if dataclasses.is_dataclass(kind)
        else set()
    )
    options: dict[str, Any] = {name: value for name, value in values.items() if name in known}
    if options.get("max_staleness", 0) < 0:
        options["max_staleness"] = None
    if options.get("trainers") == 0:
        options["trainers"] = "auto"
    return kind(**options)
