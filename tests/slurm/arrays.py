"""Studies on the test cluster: submit them, wait for them, look at what they left."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.slurm.queue import JobState, query
from harness.tables.table import RANK_COLUMNS, ROW_COLUMNS, ranks_path, read_cells, rows_path

#: A nap on every rank. A point that waits does so in its second launch, after two repetitions,
#: until a file is there.
NAPS = """
import os, time
from pathlib import Path

class Naps:
    version = 1

    def setup(self, comm, parameters):
        self.comm, self.parameters, self.runs = comm, parameters, 0
        self.here = Path(__file__).parent
        self.waits = parameters["waits"] and (self.here / "first").exists()

    def run(self):
        self.runs += 1
        time.sleep(0.01)
        if self.runs > 2 and self.waits and not (self.here / "go").exists():
            (self.here / "waiting").touch()
            while not (self.here / "go").exists():
                time.sleep(0.05)
        if self.parameters["fails"] and not (self.here / "mended").exists():
            raise ValueError("not mended yet")
        return {"total": self.comm.allreduce(self.comm.rank)}

    def teardown(self):
        (self.here / "first").touch()
"""

MEASURE = "[measure]\nlaunches = 1\nwarmups = 1\nrepetitions = 2\ntime_limit_seconds = 100\n"


@dataclass
class Folder:
    """A study of naps, its results, and the jobs that were submitted for it."""

    study: Path
    results: Path

    def __post_init__(self) -> None:
        self.known: set[Path] = set()

    def write(self, text: str) -> Folder:
        self.study.parent.mkdir(parents=True, exist_ok=True)
        (self.study.parent / "naps.py").write_text(NAPS)
        head = 'name = "naps"\nworkload = "naps:Naps"\n'
        self.study.write_text(head + textwrap.dedent(text))
        return self

    def harness(self, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", command, str(self.study), *map(str, arguments),
             "--results", str(self.results)],
            cwd=self.results.parent, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def submit(self, *arguments: object) -> dict[str, str]:
        """Submit; the numbers of its jobs: ``0``, ``1`` ... and ``collect``."""
        result = self.harness("submit", *arguments)
        assert result.returncode == 0, result.stderr
        (folder,) = {path.parent for path in self.submissions()} - self.known
        self.known.add(folder)
        return json.loads((folder / "jobs.json").read_text())

    @property
    def name(self) -> str:
        """Of the study; those here are named like their file, or ``naps``."""
        return "naps" if self.study.stem == "study" else self.study.stem

    def submissions(self) -> list[Path]:
        return sorted(self.results.glob("submissions/*/*/manifest.json"))

    def status(self) -> str:
        result = self.harness("status")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def states(self) -> list[str]:
        """The column ``state`` of the last collection."""
        cells = read_cells(self.results / f"{self.name}.points.csv", ["state"])[1]
        return [row["state"] for row in cells]

    def rows(self) -> list[dict[str, str]]:
        return read_cells(rows_path(self.results, self.name), ROW_COLUMNS)[1]

    def ranks(self) -> list[dict[str, str]]:
        return read_cells(ranks_path(self.results, self.name), RANK_COLUMNS)[1]

    def launch_files(self) -> dict[str, bytes]:
        files = self.results.glob("launches/*/p*.json")
        return {path.name: path.read_bytes() for path in files}

    @property
    def waiting(self) -> bool:
        """A launch has finished two repetitions and waits in the third."""
        return (self.study.parent / "waiting").exists()

    def go(self) -> None:
        (self.study.parent / "go").touch()


def naps(folder: Path, text: str) -> Folder:
    study = Folder(folder / "study.toml", folder / "results")
    return study.write("[parameters]\nwaits = false\nfails = false\n" + textwrap.dedent(text))


def state(job: str) -> JobState:
    """A job's state, which the cluster remembers for longer than a test takes."""
    states = query([job.split("_")[0]])
    assert states is not None, "squeue does not answer"
    return states[job]


def ended(job: str) -> bool:
    return not state(job).alive


def wait_for(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Whether the condition came to hold; the time is a bound for a machine that stalls."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def slurm(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout
