"""Sleepy studies and launch records for the tests of the harness."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from harness.launch.process import MARK
from harness.study.study import load_study
from harness.tables.locks import LOCKS
from harness.tables.records import LaunchRecord
from harness.tables.table import ROW_COLUMNS, read_cells, rows_path

SLEEPY = """
import ctypes, os, signal, subprocess, sys, time

class Sleepy:
    version = 1

    def setup(self, comm, parameters):
        self.comm, self.mode, self.runs = comm, parameters["mode"], 0

    def run(self):
        self.runs += 1
        time.sleep(0.01)
        if self.runs > 2 and self.comm.rank == self.comm.size - 1:
            getattr(self, self.mode)()
        return {"naps": self.runs}

    def teardown(self):
        pass

    def good(self):
        pass

    def raises(self):
        raise ValueError('no "bed", no\\nsleep [/red] \\udc80')

    def verbose(self):
        raise ValueError("z" * 300_000)

    def exits(self):
        sys.stderr.buffer.write(b"\\xff\\xfe last words\\n")
        sys.stderr.flush()
        os._exit(3)

    def crashes(self):
        ctypes.string_at(0)

    def hangs(self):
        nap = [sys.executable, "-c", "import time; time.sleep(600)"]
        subprocess.Popen(nap, start_new_session=True)
        time.sleep(600)
"""


def write_study(folder: Path, text: str) -> Path:
    """A study of the workload ``sleepy:Sleepy``, which is put beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sleepy.py").exists():
        (folder / "sleepy.py").write_text(SLEEPY)
    path = folder / "study.toml"
    head = 'name = "sleepy"\nworkload = "sleepy:Sleepy"\n'
    path.write_text(head + textwrap.dedent(text), encoding="utf-8")
    return path


def study_of(folder: Path, text: str, preset: str | None = None, *overrides: str):
    return load_study(write_study(folder, text), preset, overrides)


def environment(**variables: str) -> dict[str, str]:
    """Ours, without what an outer run of the harness may have set."""
    kept = {k: v for k, v in os.environ.items()
            if k == LOCKS or not k.startswith(("HARNESS_", "SLURM_"))}  # fmt: skip
    return {**kept, **variables}


def harness(
    *arguments: object, cwd: Path, start: Sequence[str] = ("-m", "harness"), **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command line, as a user's shell runs it."""
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=cwd, env=environment(**variables), capture_output=True, text=True, errors="replace",
        check=False, timeout=120,
    )  # fmt: skip


def rows_of_table(results: Path, study: str = "sleepy") -> list[dict[str, str]]:
    return read_cells(rows_path(results, study), ROW_COLUMNS)[1]


def wait_until(condition: Callable[[], object], seconds: float = 30) -> object:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def marked_processes(part: str) -> list[psutil.Process]:
    """Processes of launches whose mark contains this part."""
    found = []
    for process in psutil.process_iter():
        try:
            if part in process.environ().get(MARK, "") and process.status() != "zombie":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def record(
    launch: str = "20260101T000000-00000001", seconds: float = 0.5, **changes
) -> LaunchRecord:
    """A launch with a warm-up and a timed repetition."""
    repetitions = [
        {
            "repetition": index, "warmup": index == 0, "seconds": seconds,
            "metrics": {"loss": 0.25}, "started_at": "2026-01-01T00:00:00.000Z",
            "ranks": [{"rank": 0, "host": "here", "cpus": "0"}],
        }
        for index in range(2)
    ]  # fmt: skip
    fields = {
        "study": "sleepy", "point": "aaaaaaaaaaaa", "launch": launch, "order": 0,
        "source": "measured", "workload": "sleepy:Sleepy", "workload_version": "1",
        "environment": "eeeeeeeeeeee",
        "parameters": {"processes": 1, "threads_per_process": 1, "seed": 0, "backend": ""},
        "status": "ok", "message": "", "started_at": "2026-01-01T00:00:00.000Z",
        "repetitions": repetitions,
    }  # fmt: skip
    return LaunchRecord(**{**fields, **changes})
