"""What a study's TOML file may hold: its tables, their keys and their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.study.toml_source import KeyPath

Scalar = str | int | float | bool
NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
WORKLOAD = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"

#: Parameters that the harness itself acts on; every point has them. Their values where a study is
#: silent.
LAUNCH_DEFAULTS: dict[str, Scalar] = {
    "processes": 1,
    "threads_per_process": 1,
    "seed": 0,
    "backend": "",
}
LAUNCH_PARAMETERS = tuple(LAUNCH_DEFAULTS)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Measure(_Table):
    """How a point is measured.

    Attributes:
        launches: launches that every point gets; 6 is the fewest that give a 95 % interval.
        max_launches: with ``precision``, the most launches that a point may get.
        precision: relative half-width of the 95 % interval, of the median or of the ratio to the
            baseline, at which a point is done.
        budget_seconds: no further launch for the sake of precision begins after this time.
        repetitions: timed repetitions in a launch.
        warmups: repetitions before them, kept and marked.
        max_warmups: warm-ups go on up to so many until times are steady; None takes ``warmups``.
        time_limit_seconds: a launch that takes longer is killed and becomes a ``timeout`` row.
        oversubscribe: allow points with more processes x threads than this machine has cores.
        max_processes: a point with more processes than this is a mistake in the study.
        baseline: values of parameters: points that have them are what the others are compared
            with, each with the one that agrees with it in all else that tells baselines apart.
            ``precision`` is then asked of the ratios.
        throughput: a metric that is a rate: points are compared by it and not by their seconds,
            since each may do as much work as it likes.
        emulate: also emulate the study, on up to so many processes; 0 does not.
    """

    launches: int = Field(6, ge=1)
    max_launches: int | None = Field(None, ge=1)
    precision: float | None = Field(None, gt=0, lt=1)
    budget_seconds: float | None = Field(None, gt=0)
    repetitions: int = Field(1, ge=1)
    warmups: int = Field(1, ge=0)
    max_warmups: int | None = Field(None, ge=1)
    time_limit_seconds: float = Field(600.0, gt=0)
    oversubscribe: bool = False
    max_processes: int = Field(1024, ge=1)
    baseline: dict[str, Scalar] = {}
    throughput: str = Field("", pattern=rf"^$|{NAME}")
    emulate: int = Field(0, ge=0)

    @field_validator("precision", "budget_seconds", "time_limit_seconds", mode="before")
    @classmethod
    def _integers_are_numbers(cls, value: object) -> object:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Sweep(_Table):
    """Which combinations of parameters become points.

    Attributes:
        product: every combination of these values; a value list, or an expression that gives one.
        zip: values taken in step; all lists have the same length.
        points: explicit combinations.
        where: expressions that a combination must satisfy to become a point.
    """

    product: dict[str, list[Scalar] | str] = {}
    zip: dict[str, list[Scalar] | str] = {}
    points: list[dict[str, Scalar]] = []
    where: list[str] = []


class Overlay(_Table):
    """What is other in the emulated points: its tables replace the study's, key by key."""

    parameters: dict[str, Scalar] = {}
    sweep: Sweep = Sweep()
    derived: dict[str, str] = {}


class Emulation(Overlay):
    """How a study is emulated: by another workload, whose rows have the source ``emulated``."""

    workload: str = Field(pattern=WORKLOAD)


class Command(_Table):
    """A command line in the place of a workload.

    Attributes:
        run: the program and its arguments, split as a shell would, but run by none; ``{name}`` is
            a parameter's value.
        launcher: whether the harness's MPI launcher starts it on the point's processes; else it is
            started once, as it stands, and may call a launcher of its own.
        metrics: by name, regular expressions whose first group (or all) is searched for in what it
            prints; ``seconds`` takes the place of the time from its start to its end.
        files: that its results depend on besides the program itself, beside the study.
    """

    run: str = Field(min_length=1)
    launcher: bool = True
    metrics: dict[str, str] = {}
    files: list[str] = []


class Preset(_Table):
    """A named size of the study: its tables replace the study's, key by key."""

    description: str = ""
    parameters: dict[str, Scalar] = {}
    sweep: Sweep = Sweep()
    derived: dict[str, str] = {}
    measure: dict[str, Any] = {}
    emulation: Overlay = Overlay()


class StudyFile(_Table):
    """The whole file, before a preset is chosen."""

    name: str = Field(pattern=NAME, max_length=100)
    description: str = ""
    workload: str | None = Field(None, pattern=WORKLOAD)
    command: Command | None = None
    default_preset: str | None = None
    parameters: dict[str, Scalar] = {}
    sweep: Sweep = Sweep()
    derived: dict[str, str] = {}
    measure: Measure = Measure()
    emulation: Emulation | None = None
    presets: dict[str, Preset] = {}


def places(tables: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Where parameters are named in a study or a preset."""
    sweep = tables.get("sweep", {})
    for index, point in enumerate(sweep.get("points", [])):
        for name in point:
            yield ("sweep", "points", index, name), name
    for kind in ("zip", "product"):
        for name in sweep.get(kind, {}):
            yield ("sweep", kind, name), name
    for table in ("derived", "parameters"):
        for name in tables.get(table, {}):
            yield (table, name), name
