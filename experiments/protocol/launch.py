"""Start the rank programs of the demonstrations."""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.launch.launcher import find_launcher
from harness.launch.process import run


@dataclass(frozen=True)
class Ended:
    """How a launch ended: exit code, output, seconds."""

    exit_code: int
    output: str
    seconds: float


def launch(
    processes: int,
    module: str,
    job: Any,
    *,
    limit_seconds: float = 600,
    heartbeat: Callable[[float], None] = lambda elapsed: None,
    mark: str | None = None,
) -> Ended:
    """Run ``python -m module JOB`` on MPI ranks, one thread each; the job is written as JSON."""
    launcher = find_launcher()
    elapsed = [0.0]

    def beat(seconds: float) -> None:
        elapsed[0] = seconds
        heartbeat(seconds)

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        outcome = run(
            launcher.command(processes, 1, [sys.executable, "-m", module, json.dumps(job)]),
            launcher.variables(processes, 1),
            mark=mark or f"protocol-{secrets.token_hex(6)}",
            log=log,
            limit_seconds=limit_seconds,
            heartbeat=beat,
        )
        return Ended(outcome.exit_code, log.read_text("utf-8", "replace"), elapsed[0])


def result(ended: Ended) -> Any:
    """What rank 0 printed behind RESULT.

    Raises:
        RuntimeError: if the ranks failed, with the end of their output.
    """
    if ended.exit_code != 0 or "RESULT" not in ended.output:
        raise RuntimeError(ended.output[-2000:])
    return json.loads(ended.output.split("RESULT", 1)[1].splitlines()[0])
