"""A study as its TOML file states it: workload, parameters, sweep, presets, how to measure.

The format is described for users in docs/studies.md. Every fault is one sentence that names file,
line, key and what was expected.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import UserError, did_you_mean
from harness.study.faults import dotted, fault, reason_of
from harness.study.overrides import merge, override
from harness.study.toml_source import KeyPath, TomlSource, read_toml
from harness.study.values import (
    LAUNCH_PARAMETERS,
    NAME,
    Command,
    Measure,
    Scalar,
    StudyFile,
    Sweep,
    places,
)
from harness.tables.columns import LAUNCH_COLUMNS, MORE_POINT_COLUMNS, POINT_COLUMNS, ROW_COLUMNS


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
    emulated: Study | None = None
    """The same with the tables of [emulation] on top and its workload; None without that table."""
    command: Command | None = None
    """What runs in the place of a workload, which is then called ``command``."""
    root: Path | None = None
    """Where its workload's module is looked for besides `folder`; None is the current folder."""

    @property
    def folder(self) -> Path:
        """The folder of the study's file, where its workload's module may stand."""
        return self.source.path.resolve().parent

    @property
    def search_path(self) -> list[str]:
        """Folders where its workload's module may stand, before installed packages."""
        return [str(self.folder), str(self.root or Path.cwd())]


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
        near = did_you_mean(name, file.presets)
        raise source.error(
            key, f"there is no preset '{name}'; this study's presets are: {known}{near}"
        )
    tables = ("parameters", "sweep", "derived", "measure")
    merged = {key: source.data.get(key, {}) for key in tables}
    overlay = dict(source.data.get("emulation", {}))
    if name is not None:
        preset_tables = dict(source.data["presets"][name])
        overlay = merge(overlay, preset_tables.pop("emulation", {}))
        merged = merge(merged, preset_tables)
        merged.pop("description", None)
    if file.emulation is None:
        return _study(source, file, name, merged, overrides)
    overlay.pop("workload")
    measured, emulated = _settings_of(overrides, merged, overlay)
    study = _study(source, file, name, merged, measured)
    twin = _study(source, file, name, merge(merged, overlay), emulated)
    twin.workload = file.emulation.workload
    return study.model_copy(update={"emulated": twin})


def _settings_of(
    overrides: tuple[str, ...], merged: dict[str, Any], overlay: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which settings of the command line are for the measured points, and which for the emulated.

    Not for the measured ones what only an emulation knows, and not for the emulated ones what an
    emulation sweeps in its own way: their processes go by ``measure.emulate``.
    """
    known = {name for _, name in places(merged)}
    only = {name for _, name in places(overlay)} - known
    swept = {name for place, name in places(overlay) if place[0] == "sweep"}

    def without(names: set[str]) -> tuple[str, ...]:
        return tuple(s for s in overrides if s.partition("=")[0].strip() not in names)

    return without(only), without(swept)


def _study(
    source: TomlSource, file: StudyFile, name: str | None, merged: dict[str, Any],
    overrides: tuple[str, ...],
) -> Study:  # fmt: skip
    """The study that these tables are, with the settings of the command line on top."""
    merged = override(source, merged, overrides)
    _check_set_once(source, name, merged)
    try:
        return Study(
            source=source,
            name=file.name,
            description=file.description,
            workload=file.workload or "command",
            command=file.command,
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
            f"{source.path}: --set measure.{key_text}: {reason_of(detail, ('measure',))}"
        ) from None


def _validate(source: TomlSource) -> StudyFile:
    """Check the file as it stands, presets included, each fault at its own line."""
    try:
        file = StudyFile.model_validate(source.data)
        _check_what_runs(source, file)
        _check_names(source, source.data, ())
        _check_names(source, source.data.get("emulation", {}), ("emulation",))
        for name, preset in source.data.get("presets", {}).items():
            _check_names(source, preset, ("presets", name))
            _check_names(source, preset.get("emulation", {}), ("presets", name, "emulation"))
            measure = source.data.get("measure", {}) | preset.get("measure", {})
            try:
                Measure.model_validate(measure)
            except ValidationError as error:
                raise fault(source, error, ("presets", name, "measure")) from None
    except ValidationError as error:
        raise fault(source, error, ()) from None
    return file


def _check_what_runs(source: TomlSource, file: StudyFile) -> None:
    """A workload or a command, and patterns that are some."""
    if file.command is None:
        if file.workload is None:
            raise source.error(
                (),
                "the key 'workload' is missing; expected the class to run, as in "
                'workload = "module:Class", or a table [command]',
            )
        return
    if file.workload is not None or file.emulation is not None:
        other = "workload" if file.workload is not None else "emulation"
        raise source.error(("command",), f"'command' and '{other}' are there; expected one of them")
    for name, pattern in file.command.metrics.items():
        path = ("command", "metrics", name)
        if not re.fullmatch(NAME, name) or name in {*ROW_COLUMNS, *LAUNCH_COLUMNS} - {"seconds"}:
            raise source.error(path, f"{name!r}: expected letters, digits and underscores, and no "
                                     "column of every table")  # fmt: skip
        try:
            re.compile(pattern)
        except re.error as error:
            raise source.error(path, f"'{name}': {pattern!r} is no pattern ({error})") from None


def _check_names(source: TomlSource, tables: dict[str, Any], prefix: KeyPath) -> None:
    """Parameter names must be able to stand in expressions and as columns."""
    columns = {*ROW_COLUMNS, *POINT_COLUMNS, *LAUNCH_COLUMNS, *MORE_POINT_COLUMNS}
    reserved = columns.difference(LAUNCH_PARAMETERS)
    for place, name in places(tables):
        path = (*prefix, *place)
        if not re.fullmatch(NAME, name):
            raise source.error(path, f"{name!r}: expected letters, digits and underscores")
        if name in reserved:
            raise source.error(path, f"'{name}' is a column of every table; choose another name")
        if name in ("machine_cores", "emulate"):
            whose = "this machine's" if name == "machine_cores" else "the harness's"
            raise source.error(path, f"'{name}' is {whose} in expressions; choose another")


def _check_set_once(source: TomlSource, preset: str | None, merged: dict[str, Any]) -> None:
    """A parameter is swept in one way or derived: two would leave one without effect, unsaid."""
    seen: dict[str, KeyPath] = {}
    for place, name in places(merged):
        if place[0] == "parameters":  # what a sweep or a derived parameter may replace
            continue
        other = seen.setdefault(name, place)
        if other[:2] != place[:2]:
            raise source.error(
                source.nearest(("presets", preset or ""), place),
                f"'{dotted(place)}': '{name}' is set by '{dotted(other)}' already; expected one",
            )
