"""What a machine takes for the parts of parallel training: the input of emulation and simulation.

A calibration is a JSON file that `measure` wrote, or a TOML file that somebody typed from a
datasheet or from a published row. Both have the same keys; unknown ones are refused.
"""

from __future__ import annotations

import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparring.errors import SparringError

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Duration(_Strict):
    """How long one thing takes, and how much that varies.

    Attributes:
        median: seconds.
        samples: seconds, each one observation; none where only a median is known.
    """

    median: Seconds
    samples: tuple[Seconds, ...] = ()

    def draw(self, random: np.random.Generator) -> float:
        """One duration: a sample drawn with replacement, or the median where there are none."""
        if not self.samples:
            return self.median
        return self.samples[int(random.integers(len(self.samples)))]

    def draws(self, random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
        """So many durations, drawn as `draw` does; float64 ``(count,)``."""
        if not self.samples:
            return np.full(count, self.median)
        return self._samples[random.integers(len(self.samples), size=count)]

    @cached_property
    def _samples(self) -> npt.NDArray[np.float64]:
        return np.array(self.samples)

    @cached_property
    def mean(self) -> float:
        """Mean of the samples: what many draws take together."""
        return float(np.mean(self.samples)) if self.samples else self.median

    def scaled(self, factor: float) -> Duration:
        """The same spread around ``factor`` times the median."""
        if factor == 1.0:
            return self
        return Duration(
            median=self.median * factor, samples=tuple(s * factor for s in self.samples)
        )


class Work(_Strict):
    """Computing on one rank, for a call with so many images.

    Attributes:
        batch_size: images in the call.
        step: one ascent step of all of them.
        gradients: loss and gradients of the weights.
        loss: loss alone.
        prepare: what an attack takes before its first step (reading images, random streams).
        look: what being interrupted before a step adds to it, where a strategy looks for new
            weights; the message itself not included.
        gradients_to_add: loss and gradients in the form that a node's ranks add up, which for few
            images is factors (`sparring.compute.interface.Compute.gradients_to_add`).
        add_gradients: one rank alone adding up all that such ranks wrote of these images, few
            enough on each to be factors.
    """

    batch_size: Annotated[int, Field(ge=1)]
    step: Duration
    gradients: Duration
    loss: Duration
    prepare: Duration = Duration(median=0.0)
    look: Duration = Duration(median=0.0)
    gradients_to_add: Duration = Duration(median=0.0)
    add_gradients: Duration = Duration(median=0.0)


class Sized(_Strict):
    """One transfer of so many bytes."""

    bytes: Annotated[int, Field(ge=0)]
    seconds: Duration


class Collective(_Strict):
    """One all-reduce or broadcast among so many ranks of one node."""

    processes: Annotated[int, Field(ge=2)]
    bytes: Annotated[int, Field(ge=0)]
    seconds: Duration


class Link(_Strict):
    """Messages between two ranks.

    Attributes:
        messages: one way, one message in flight, by size; ascending.
    """

    messages: Annotated[tuple[Sized, ...], Field(min_length=1)]

    def seconds(self, size: float) -> float:
        """One message of ``size`` bytes: linear between the sizes that are known.

        Below the smallest its time holds (latency); above the largest its bandwidth does.
        """
        sizes = [m.bytes for m in self.messages]
        times = [m.seconds.median for m in self.messages]
        if size > sizes[-1] > 0:
            return times[-1] * size / sizes[-1]
        return float(np.interp(size, sizes, times))


class Slowdown(_Strict):
    """Computing on a node takes ``factor`` times as long while so many of its cores compute."""

    active_cores: Annotated[int, Field(ge=1)]
    factor: Annotated[float, Field(gt=0)]


class Calibration(_Strict):
    """One machine with one backend, network and dtype.

    Attributes:
        source: ``measured`` here; ``datasheet``; ``reference`` (a published row);
            ``predicted`` (computing, by a model of the core); ``fit``, if any number in it was
            fitted to rows that it is meant to predict.
        origin: the command, the citation, or what the fit was to.
        date: when, ISO 8601.
        nodes, cores_per_node: how many there are; one rank computes on one core.
        work: by batch size, ascending.
        apply: the optimizer's step, which no strategy divides.
        read_weights, write_weights: copying all weights out of and into the model.
        weights_bytes, gradient_bytes, image_bytes: of all weights, all gradients, one image.
        gradient_parts: bytes of each parameter's gradient, in the model's order; they add up to
            ``gradient_bytes``. Without entries it is one part.
        slowdown: by active cores of a node, ascending; without entries there is none.
        within, between: messages inside a node, and from node to node (None: one node only).
        allreduce, broadcast: measured inside a node; without entries they follow from ``within``.
        shared_reduction: the sum through the memory of a node, barriers included
            (`sparring.strategies.reduction.SharedReduction`).
        factor_room: images whose gradients one rank writes as factors, at most; 0 if none.
        factor_bytes: of one image's.
        window_put, window_get: one-sided transfer of all weights.
        probe: one look for a message that is not there.
        environment: of a measured one, as in a study's ``environment.json``.
    """

    schema_version: Literal[1]
    name: str
    source: Literal["measured", "datasheet", "reference", "predicted", "fit"]
    origin: str
    date: str
    backend: str
    network: str
    dtype: str
    nodes: Annotated[int, Field(ge=1)]
    cores_per_node: Annotated[int, Field(ge=1)]
    work: Annotated[tuple[Work, ...], Field(min_length=1)]
    apply: Duration
    read_weights: Duration
    write_weights: Duration
    weights_bytes: Annotated[int, Field(ge=1)]
    gradient_bytes: Annotated[int, Field(ge=1)]
    image_bytes: Annotated[int, Field(ge=1)]
    gradient_parts: tuple[Annotated[int, Field(ge=1)], ...] = ()
    slowdown: tuple[Slowdown, ...] = ()
    within: Link
    between: Link | None = None
    allreduce: tuple[Collective, ...] = ()
    broadcast: tuple[Collective, ...] = ()
    shared_reduction: tuple[Collective, ...] = ()
    factor_room: Annotated[int, Field(ge=0)] = 0
    factor_bytes: Annotated[int, Field(ge=0)] = 0
    window_put: Duration = Duration(median=0.0)
    window_get: Duration = Duration(median=0.0)
    probe: Duration = Duration(median=0.0)
    environment: dict[str, Any] = {}

    @model_validator(mode="after")
    def _ascending(self) -> Calibration:
        for name, values in (
            ("work", [w.batch_size for w in self.work]),
            ("slowdown", [s.active_cores for s in self.slowdown]),
            ("within", [m.bytes for m in self.within.messages]),
            ("between", [m.bytes for m in self.between.messages] if self.between else []),
        ):
            if values != sorted(set(values)):
                raise ValueError(f"{name} must be ascending and without repetition, not {values}")
        if self.gradient_parts and sum(self.gradient_parts) != self.gradient_bytes:
            raise ValueError(
                f"gradient_parts must add up to gradient_bytes, {self.gradient_bytes}, not "
                f"{sum(self.gradient_parts)}"
            )
        if self.nodes > 1 and self.between is None:
            raise ValueError("between is missing: with 2 nodes or more messages cross the network")
        return self

    def times(self, images: int) -> Work:
        """The times of a call with so many images, at least one.

        Linear between the batch sizes that are known, with the spread of the nearer one. Below
        the smallest its times hold; above the largest each further image takes as long as the
        largest's images did on average.
        """
        sizes = [work.batch_size for work in self.work]
        nearest = min(self.work, key=lambda work: abs(work.batch_size - images))
        if nearest.batch_size == images:
            return nearest

        def at(name: str) -> Duration:
            medians = [getattr(work, name).median for work in self.work]
            found = float(np.interp(images, sizes, medians)) * max(1.0, images / sizes[-1])
            known: Duration = getattr(nearest, name)
            return known.scaled(found / known.median) if known.median else Duration(median=found)

        return Work(
            batch_size=images, step=at("step"), gradients=at("gradients"), loss=at("loss"),
            prepare=at("prepare"), look=at("look"), gradients_to_add=at("gradients_to_add"),
            add_gradients=at("add_gradients"),
        )  # fmt: skip

    def factor(self, active_cores: float) -> float:
        """How many times as long computing takes with so many active cores on a node."""
        if not self.slowdown:
            return 1.0
        cores = [s.active_cores for s in self.slowdown]
        return float(np.interp(active_cores, cores, [s.factor for s in self.slowdown]))


def load(path: Path) -> Calibration:
    """Read a calibration, JSON or TOML.

    Raises:
        SparringError: if the file cannot be read or a key is missing, unknown or out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise SparringError(f"{path}: cannot be read as a calibration ({error})") from None
    try:
        return Calibration.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        if first["type"] == "missing":
            raise SparringError(f"{path}: no calibration: the key '{key}' is missing; expected a "
                                "file that `sparring calibrate` made") from None  # fmt: skip
        told = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise SparringError(f"{path}: key '{key}': expected {told}") from None
