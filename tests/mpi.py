"""Run a Python file or module on real MPI ranks."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness.launch.launcher import find_launcher
from harness.launch.process import run


def run_ranks(processes: int, program: list[str], limit_seconds: float = 120) -> str:
    """Output of ``python program...`` on so many ranks, one thread each; fails if they fail."""
    launcher = find_launcher()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        outcome = run(
            launcher.command(processes, 1, [sys.executable, *program]),
            launcher.variables(processes, 1),
            mark=f"test-{Path(folder).name}",
            log=log,
            limit_seconds=limit_seconds,
        )
        text = log.read_text(encoding="utf-8")
    assert outcome.exit_code == 0, text[-3000:]
    return text
