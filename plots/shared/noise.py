"""What a table says of disturbances while it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def disturbed(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many launches have which mark of a disturbance; empty if none has (docs/tables.md)."""
    launches = {(row.get("point"), row.get("launch")): str(row.get("marks") or "") for row in rows}
    counts = Counter(mark for marks in launches.values() for mark in marks.split())
    told = ", ".join(f"{number} {mark}" for mark, number in sorted(counts.items()))
    return f"of {len(launches)} launches are marked: {told}" if told else ""
