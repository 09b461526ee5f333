"""What a table says of disturbances while it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def disturbed(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many launches were disturbed, and by what; empty if none was (docs/tables.md)."""
    launches = {(row.get("point"), row.get("launch")): str(row.get("marks") or "") for row in rows}
    marked = [marks.split() for marks in launches.values() if marks]
    counts = Counter(mark for marks in marked for mark in marks)
    told = ", ".join(f"{mark} {number}" for mark, number in sorted(counts.items()))
    return f"{len(marked)} of {len(launches)} launches were disturbed: {told}" if told else ""
