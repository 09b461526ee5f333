"""What a study ran on, from ``results/<study>.environment.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.tables.table import environment_path

#: More plain values than these stand in one line.
MANY = 12


def load(table: Path) -> dict[str, Any]:
    """Environments by id; empty if the file is absent, no regular file, or no JSON object."""
    path = environment_path(table.parent, table.stem)
    if not path.is_file():  # to open a pipe would wait for ever
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def machine(environments: dict[str, Any], environment: str) -> str:
    """CPU model and number of cores in words."""
    cpu = _inside(environments, environment, "fingerprint", "cpu")
    if not isinstance(cpu, dict) or not cpu.get("model"):
        return "CPU not recorded"
    cores = cpu.get("cores")
    name = " ".join(str(cpu["model"]).replace("(R)", "").replace("(TM)", "").split())
    return f"{name}, {cores} core{'s' if cores != 1 else ''}" if cores else name


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as pairs of dotted name and text.

    Of several objects in a row (a study's sessions) the last is told, and how many there are; an
    object of many plain values (packages and their versions) is one text.
    """
    if isinstance(value, dict):
        plain = not any(isinstance(inner, dict | list) for inner in value.values())
        if plain and len(value) > MANY:
            return [(prefix, ", ".join(f"{key} {inner}" for key, inner in value.items()))]
        return [
            pair
            for key, inner in value.items()
            for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [(prefix, str(len(value))), *flat(value[-1], f"{prefix}: the last")]
    if isinstance(value, list):
        return [(prefix, ", ".join(str(item) for item in value))]
    return [(prefix, "" if value is None else str(value))]


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
