"""What all tables of kernels share; `sparring.tables` writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from sparring.tables import Row, Table, Value

__all__ = ["SCHEMA_VERSION", "Row", "Table", "Value", "utc_now"]

SCHEMA_VERSION = 1


def utc_now() -> str:
    """The time, for a column ``started_at``."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
