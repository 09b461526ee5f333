"""A study as its TOML file states it: workload, parameters, sweep, presets, how to measure.

The format is described for users in docs/studies.md. Every fault is one sentence that names file,
line, key and what was expected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from harness.errors import UserError
from harness.tables import POINT_COLUMNS, ROW_COLUMNS
from harness.toml_source import KeyPath, TomlSource, read_toml

Scalar = str | int | float | bool
NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"

#: Parameters that the harness itself acts on; every point has them.
LAUNCH_PARAMETERS = ("processes", "threads_per_process", "seed", "backend")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Measure(_Table):
    """How a point is measured.

    Attributes:
        launches: launches that every point gets; 6 is the fewest that give a 95 % interval.
        max_launches: with ``precision``, the most launches that a point may get.
        precision: relative half-width of the median's 95 % interval at which a point is done.
        budget_seconds: no further launch for the sake of precision begins after this time.
        repetitions: timed repetitions in a launch.
        warmups: repetitions before them, kept and marked.
        time_limit_seconds: a launch that takes longer is killed and becomes a ``timeout`` row.
        oversubscribe: allow points with more processes x threads than this machine has cores.
        max_processes: a point with more processes than this is a mistake in the study.
    """

    launches: int = Field(6, ge=1)
    max_launches: int | None = Field(None, ge=1)
    precision: float | None = Field(None, gt=0, lt=1)
    budget_seconds: float | None = Field(None, gt=0)
    repetitions: int = Field(1, ge=1)
    warmups: int = Field(1, ge=0)
    time_limit_seconds: float = Field(600.0, gt=0)
    oversubscribe: bool = False
    max_processes: int = Field(1024, ge=1)

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


class Preset(_Table):
    """A named size of the study: its tables replace the study's, key by key."""

    description: str = ""
    parameters: dict[str, Scalar] = {}
    sweep: Sweep = Sweep()
    derived: dict[str, str] = {}
    measure: dict[str, Any] = {}


class _File(_Table):
    """The whole file, before a preset is chosen."""

    name: str = Field(pattern=NAME, max_length=100)
    description: str = ""
    workload: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    default_preset: str | None = None
    parameters: dict[str, Scalar] = {}
    sweep: Sweep = Sweep()
    derived: dict[str, str] = {}
    measure: Measure = Measure()
    presets: dict[str, Preset] = {}


class Study(BaseModel):
    """A study with one preset chosen: what there is to expand into points and run."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    source: TomlSource
    name: str
    description: str
    workload: str
    preset: str
    parameters: dict[str, Scalar]
    sweep: Sweep
    derived: dict[str, str]
    measure: Measure
    overridden: frozenset[str]

    @property
    def folder(self) -> Path:
        """The folder of the study's file, where its workload's module may stand."""
        return self.source.path.resolve().parent


def load_study(path: Path, preset: str | None = None, overrides: tuple[str, ...] = ()) -> Study:
    """Read and validate a study.

    Args:
        path: the TOML file.
        preset: which preset; None takes ``default_preset``.
        overrides: ``key=value`` settings, as in ``--set``.

    Raises:
        UserError: with one sentence on the first fault.
    """
    return study_of(read_toml(path), preset, overrides)


def study_of(source: TomlSource, preset: str | None, overrides: tuple[str, ...]) -> Study:
    """The study that a TOML text holds; `load_study` without the reading."""
    file = _validate(source)
    name = preset or file.default_preset
    if name is not None and name not in file.presets:
        known = ", ".join(file.presets) or "none"
        key: KeyPath = () if preset else ("default_preset",)
        raise source.error(key, f"there is no preset '{name}'; this study's presets are: {known}")
    tables = ("parameters", "sweep", "derived", "measure")
    merged = {key: source.data.get(key, {}) for key in tables}
    if name is not None:
        merged = _merge(merged, source.data["presets"][name])
        merged.pop("description", None)
    merged = _override(source, merged, overrides)
    _check_set_once(source, name, merged)
    try:
        return Study(
            source=source,
            name=file.name,
            description=file.description,
            workload=file.workload,
            preset=name or "",
            parameters=merged["parameters"],
            sweep=Sweep.model_validate(merged["sweep"]),
            derived=merged["derived"],
            measure=Measure.model_validate(merged["measure"]),
            overridden=frozenset(setting.partition("=")[0].strip() for setting in overrides),
        )
    except ValidationError as error:  # only a --set can still be wrong here
        detail = error.errors()[0]
        key_text = ".".join(str(part) for part in detail["loc"])
        raise UserError(
            f"{source.path}: --set measure.{key_text}: {_reason(detail, ('measure',))}"
        ) from None


def _validate(source: TomlSource) -> _File:
    """Check the file as it stands, presets included, each fault at its own line."""
    try:
        file = _File.model_validate(source.data)
        _check_names(source, source.data, ())
        for name, preset in source.data.get("presets", {}).items():
            _check_names(source, preset, ("presets", name))
            measure = source.data.get("measure", {}) | preset.get("measure", {})
            try:
                Measure.model_validate(measure)
            except ValidationError as error:
                raise _fault(source, error, ("presets", name, "measure")) from None
    except ValidationError as error:
        raise _fault(source, error, ()) from None
    return file


def _fault(source: TomlSource, error: ValidationError, prefix: KeyPath) -> UserError:
    detail = error.errors()[0]
    if detail["type"] == "missing":
        key = str(detail["loc"][-1])
        place = prefix + detail["loc"][:-1]
        return source.error(place, f"the key '{key}' is missing; expected {_expected(key)}")
    path = prefix
    for part in detail["loc"]:
        # Members of a union (list or str) appear in the location; they are no keys of the file.
        if not source.holds((*path, part)):
            break
        path = (*path, part)
    return source.error(path, f"'{_dotted(path)}': {_reason(detail, prefix)}")


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _expected(key: str) -> str:
    return {
        "name": 'a name such as name = "strong_scaling"',
        "workload": 'the class to run, as in workload = "module:Class"',
    }.get(key, "a value")


def _reason(detail: ErrorDetails, prefix: KeyPath) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key; expected one of {', '.join(_known_keys(prefix + detail['loc'][:-1]))}"
    if detail["type"] == "string_pattern_mismatch":
        if "workload" in detail["loc"]:
            return f"expected \"module:Class\", found '{detail['input']}'"
        return f"expected letters, digits and underscores, found '{detail['input']}'"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("String should have ")
    message = message.replace("a valid dictionary", "a table").replace("a valid i", "an i")
    message = message.replace("a valid ", "a ")
    if message.startswith(("greater", "less")):
        message = f"a number {message}"
    if any(str(part) in ("product", "zip") for part in detail["loc"]):
        message = "a list of values, or an expression that gives one"
    elif detail["loc"][-1] in ("str", "int", "float", "bool"):  # a member of Scalar
        message = "a number, text or truth value"
    return f"expected {message}, found {detail['input']!r}"


def _known_keys(table: KeyPath) -> Iterable[str]:
    """The keys that a table of the file may have."""
    if not table:
        return _File.model_fields
    if table[0] == "presets" and len(table) == 2:
        return Preset.model_fields
    return (Sweep if table[-1] == "sweep" else Measure).model_fields


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``, table by table."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _override(
    source: TomlSource, merged: dict[str, Any], overrides: tuple[str, ...]
) -> dict[str, Any]:
    """Apply ``--set key=value``: a measure setting, a parameter, or a list that becomes a sweep."""
    tables = {
        "parameters": dict(merged["parameters"]),
        "sweep": _merge({"product": {}, "zip": {}, "points": [], "where": []}, merged["sweep"]),
        "derived": dict(merged["derived"]),
        "measure": dict(merged["measure"]),
    }
    for setting in overrides:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"--set {setting}: expected key=value")
        value = _parse_value(text.strip())
        if key.startswith("measure."):
            tables["measure"][key.removeprefix("measure.")] = value
            continue
        if not all(isinstance(v, Scalar) for v in (value if isinstance(value, list) else [value])):
            raise UserError(
                f"--set {setting}: expected a number, text or truth value, or a list of them"
            )
        swept = [name for name in ("product", "zip") if key in tables["sweep"][name]]
        known = sorted({name for _, name in _places(tables)} | {*LAUNCH_PARAMETERS})
        if key not in known:
            raise UserError(
                f"--set {setting}: {source.path} has no parameter '{key}'; its parameters are "
                f"{', '.join(known)} (settings of [measure] are written measure.key)"
            )
        tables["derived"].pop(key, None)
        for name in swept:
            tables["sweep"][name] = {k: v for k, v in tables["sweep"][name].items() if k != key}
        tables["sweep"]["points"] = [
            {k: v for k, v in point.items() if k != key} for point in tables["sweep"]["points"]
        ]
        if isinstance(value, list):
            tables["parameters"].pop(key, None)
            tables["sweep"]["product"] = {**tables["sweep"]["product"], key: value}
        else:
            tables["parameters"][key] = value
    return tables


def _parse_value(text: str) -> Any:
    """A TOML value; whatever is none is a string, so that shells need no double quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check_names(source: TomlSource, tables: dict[str, Any], prefix: KeyPath) -> None:
    """Parameter names must be able to stand in expressions and as columns."""
    reserved = {*ROW_COLUMNS, *POINT_COLUMNS}.difference(LAUNCH_PARAMETERS)
    for place, name in _places(tables):
        path = (*prefix, *place)
        if not re.fullmatch(NAME, name):
            raise source.error(path, f"{name!r}: expected letters, digits and underscores")
        if name in reserved:
            raise source.error(path, f"'{name}' is a column of every table; choose another name")
        if name == "machine_cores":
            raise source.error(path, f"'{name}' is this machine's in expressions; choose another")


def _check_set_once(source: TomlSource, preset: str | None, merged: dict[str, Any]) -> None:
    """A parameter is swept in one way or derived: two would leave one without effect, unsaid."""
    seen: dict[str, KeyPath] = {}
    for place, name in _places(merged):
        if place[0] == "parameters":  # what a sweep or a derived parameter may replace
            continue
        other = seen.setdefault(name, place)
        if other[:2] != place[:2]:
            raise source.error(
                source.nearest(("presets", preset or ""), place),
                f"'{_dotted(place)}': '{name}' is set by '{_dotted(other)}' already; expected one",
            )


def _places(tables: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
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
