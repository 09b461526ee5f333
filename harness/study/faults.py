"""Faults of a study's file as sentences: the key, what was expected, and what was found."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.errors import UserError, did_you_mean
from harness.study.toml_source import KeyPath, TomlSource
from harness.study.values import Command, Emulation, Measure, Preset, StudyFile, Sweep


def fault(source: TomlSource, error: ValidationError, prefix: KeyPath) -> UserError:
    """The first fault of a table that stands at ``prefix``, at its own line of the file."""
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
    return source.error(path, f"'{dotted(path)}': {reason_of(detail, prefix)}")


def dotted(path: KeyPath) -> str:
    """A key as a user writes it: ``sweep.points[2].processes``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _expected(key: str) -> str:
    return {
        "name": 'a name such as name = "strong_scaling"',
        "workload": 'the class to run, as in workload = "module:Class"',
    }.get(key, "a value")


def reason_of(detail: ErrorDetails, prefix: KeyPath) -> str:
    """What was expected in place of what was found; the key itself is left to the caller."""
    if detail["type"] == "extra_forbidden":
        known = list(_known_keys(prefix + detail["loc"][:-1]))
        near = did_you_mean(detail["loc"][-1], known)
        return f"unknown key; expected one of {', '.join(known)}{near}"
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
        return StudyFile.model_fields
    if table[0] == "presets" and len(table) == 2:
        return Preset.model_fields
    if table == ("command",):
        return Command.model_fields
    if table[-1] == "emulation":
        return Emulation.model_fields
    return (Sweep if table[-1] == "sweep" else Measure).model_fields
