"""Studies that are run as a user's shell runs them."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.harness.studies import environment, write_study

GOOD = "[parameters]\nmode = 'good'\n"


def launched(result):
    """How many launches the run's last line tells of."""
    line = next(line for line in result.stdout.splitlines() if " run; " in line)
    return int(line.split()[0])


def study_with(tmp_path, text):
    return write_study(tmp_path, text), tmp_path / "results"


GIVEN_UP = "a rank has ended, or failed, and its launcher has not: killed"


def start_runner(study, results):
    # What a shell without job control starts in the background ignores SIGINT, and so these tests.
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "run", str(study), "--results", str(results)],
        cwd=study.parent, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def launch_files(results):
    return [p for p in results.glob("launches/sleepy/*-*-*.json") if "session" not in p.name]
