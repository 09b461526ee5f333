"""Run a Python file or module on real MPI ranks."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness.launch.launcher import find_launcher
from harness.launch.process import run
from tests import forked


def run_ranks(processes: int, program: list[str], fork: bool = True) -> str:
    """Output of ``python program...`` on so many ranks, one thread each; fails if they fail.

    Ranks are forks of an interpreter that has imported what takes long, or with ``fork=False``
    interpreters of their own.
    """
    launcher = find_launcher()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        outcome = run(
            launcher.command(
                processes, 1, [*(forked.rank_command() if fork else [sys.executable]), *program]
            ),
            launcher.variables(processes, 1),
            mark=f"test-{Path(folder).name}",
            log=log,
            limit_seconds=120,
        )
        text = log.read_text(encoding="utf-8")
    assert outcome.exit_code == 0, text[-3000:]
    return text
