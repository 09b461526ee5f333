"""Settings of the command line on top of a study: ``--set key=value``."""

from __future__ import annotations

import tomllib
from typing import Any

from harness.errors import UserError, did_you_mean
from harness.study.toml_source import TomlSource
from harness.study.values import LAUNCH_DEFAULTS, LAUNCH_PARAMETERS, Scalar, places


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``, table by table."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def override(
    source: TomlSource, merged: dict[str, Any], overrides: tuple[str, ...]
) -> dict[str, Any]:
    """Apply ``--set key=value``: a measure setting, a parameter, or a list that becomes a sweep.

    Raises:
        UserError: for a setting that is none, or of no known key.
    """
    tables = {
        "parameters": dict(merged["parameters"]),
        "sweep": merge({"product": {}, "zip": {}, "points": [], "where": []}, merged["sweep"]),
        "derived": dict(merged["derived"]),
        "measure": dict(merged["measure"]),
    }
    for setting in overrides:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"--set {setting}: expected key=value")
        value = _parse_value(setting, text.strip(), _holds_texts(tables, key))
        if key.startswith("measure."):
            tables["measure"][key.removeprefix("measure.")] = value
            continue
        if not all(isinstance(v, Scalar) for v in (value if isinstance(value, list) else [value])):
            raise UserError(
                f"--set {setting}: expected a number, text or truth value, or a list of them"
            )
        swept = [name for name in ("product", "zip") if key in tables["sweep"][name]]
        known = sorted({name for _, name in places(tables)} | {*LAUNCH_PARAMETERS})
        if key not in known:
            raise UserError(
                f"--set {setting}: {source.path} has no parameter '{key}'; its parameters are "
                f"{', '.join(known)} (settings of [measure] are written measure.key)"
                f"{did_you_mean(key, known)}"
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


def _holds_texts(tables: dict[str, Any], key: str) -> bool:
    """Whether the study gives a parameter texts and nothing else."""
    sweep, parameters = tables["sweep"], {**LAUNCH_DEFAULTS, **tables["parameters"]}
    given = [table[key] for table in (parameters, *sweep["points"]) if key in table]
    for table in (sweep["product"], sweep["zip"]):
        if key in table:
            values = table[key]
            # In the place of a list stands an expression, whose values nobody knows here.
            given += values if isinstance(values, list) else [None]
    return bool(given) and all(isinstance(value, str) for value in given)


def _parse_value(setting: str, text: str, is_text: bool) -> Any:
    """A TOML value; whatever is none is a string, so that shells need no double quotes.

    Of a parameter that holds texts nothing is read as a number: 1.10 is no 1.1.
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except RecursionError:
        raise UserError(
            f"--set {setting[:60]} ...: nested too deeply; expected one value"
        ) from None
    if is_text and isinstance(value, list):
        if not all(isinstance(item, str) for item in value):
            key = setting.partition("=")[0]
            raise UserError(f"--set {setting}: '{key}' holds texts; expected a list of quoted "
                            f"texts, as in --set '{key}=[\"1.1\", \"1.10\"]'")  # fmt: skip
        return value
    return text if is_text and not isinstance(value, str) else value
