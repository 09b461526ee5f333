"""``<study>.environment.json``: what explains the rows, by the table's column ``environment``."""

from __future__ import annotations

from typing import Any


def environments_of(content: Any) -> dict[str, Any]:
    """What an ``<study>.environment.json`` holds.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(content, dict):
        raise ValueError("it is no object")
    for name, entry in content.items():
        sessions = entry.get("sessions") if isinstance(entry, dict) else None
        if not isinstance(sessions, list) or not all(
            isinstance(session, dict) and "session" in session for session in sessions
        ):
            raise ValueError(f"'{name}' has no list of sessions")
    return content


def merge_environments(known: dict[str, Any], sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """Add measuring sessions to the content of ``<study>.environment.json``.

    Args:
        known: the file's present content, by environment.
        sessions: each with ``environment``, ``fingerprint``, ``session``, ``started_at`` and
            ``provenance``.
    """
    merged = {key: {**entry, "sessions": list(entry["sessions"])} for key, entry in known.items()}
    for session in sorted(sessions, key=lambda s: (s["started_at"], s["session"])):
        entry = merged.setdefault(
            session["environment"], {"fingerprint": session["fingerprint"], "sessions": []}
        )
        if all(seen["session"] != session["session"] for seen in entry["sessions"]):
            entry["sessions"].append(
                {
                    "session": session["session"],
                    "started_at": session["started_at"],
                    **session["provenance"],
                }
            )
    return merged
