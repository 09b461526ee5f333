"""A study in a folder of its own, what is done to it, and what that cost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

import psutil

from harness.launch.segments import PLACE
from harness.tables.table import ROW_COLUMNS, read_cells, rows_path

#: Environment variable by which a case's processes are known.
MARK = "HARNESS_TORTURE"
#: A run that takes longer hangs.
PATIENCE_SECONDS = 90.0
#: How long processes may take to notice that their runner was killed.
_GRACE_SECONDS = 10.0

WORKLOAD = """
import os, sys, time

class Work:
    version = 1

    def setup(self, comm, parameters):
        self.comm, self.nap = comm, parameters.get("nap", 0.02)

    def run(self):
        self.comm.allreduce(1)
        time.sleep(self.nap)
        return {"naps": 1}

    def teardown(self):
        pass
"""

STUDY = """
name = "work"
workload = "work:Work"
[sweep.product]
processes = [1, 2]
[measure]
launches = 3
repetitions = 2
time_limit_seconds = 30
"""


@dataclass
class Tally:
    """What a case did and what it cost; all but ``runs`` ought to be 0."""

    case: str
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    orphans: int = 0
    segments: int = 0
    tracebacks: int = 0
    hung: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def counts(self) -> list[int]:
        """The numbers, in the order of the table's columns."""
        return [getattr(self, f.name) for f in fields(self)[1:-1]]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, left behind or told by a traceback."""
        return not any(self.counts[1:])


class Room:
    """A study, its results, and a tally of what happens to them.

    Args:
        folder: an empty one.
        case: the name of the case.
        study: the TOML text; its ``name`` is "work".
        workload: the text of ``work.py`` beside it.
    """

    def __init__(
        self, folder: Path, case: str, study: str = STUDY, workload: str = WORKLOAD
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.tally = folder, Tally(case)
        self.study, self.results = folder / "work.toml", folder / "results"
        self.mark = f"{os.getpid()}-{folder.name}"
        self.seen: set[str] = set()
        self._segments = set(PLACE.glob("mpich_shm_*"))
        self.study.write_text(study, encoding="utf-8")
        (folder / "work.py").write_text(workload, encoding="utf-8")

    def environment(self, **variables: str) -> dict[str, str]:
        """Ours, with the mark of this case and a place for locks of its own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS_", "SLURM_"))}
        own = {"HARNESS_LOCKS": str(self.folder), "PYTHONPATH": str(Path(__file__).parents[2])}
        return {**kept, **own, MARK: self.mark, **variables}

    def command(self, command: str = "run", *arguments: str) -> list[str]:
        """The command line of a harness command on the study."""
        return [sys.executable, "-m", "harness", command, str(self.study), "--results",
                str(self.results), *arguments]  # fmt: skip

    def start(self, command: list[str], **options: object) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; pass it to `finish`."""
        self.tally.runs += 1
        with (self.folder / "said").open("wb") as said:
            given = {"cwd": self.folder, "env": self.environment(), "stdout": said,
                     "stderr": said, "stdin": subprocess.DEVNULL,
                     "start_new_session": True}  # fmt: skip
            return subprocess.Popen(command, **{**given, **options})  # type: ignore[call-overload]

    def finish(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a command; look at what it said and left. Its exit code."""
        try:
            code = process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.tally.hung += 1
            self.tally.told.append(f"hung: {process.args}")
            process.kill()
            code = process.wait()
        self.look()
        return code

    def run(self, command: str = "run", *arguments: str, **options: object) -> int:
        """Run a harness command to its end. Its exit code."""
        return self.finish(self.start(self.command(command, *arguments), **options))

    @property
    def said(self) -> str:
        """What the last command said, on both of its streams."""
        said = self.folder / "said"
        return said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""

    def expect(self, holds: bool, what: str) -> None:
        """Count what ought to hold and does not as a row lost: something was not told, or done."""
        if not holds:
            self.tally.lost += 1
            self.tally.told.append(f"{what}; last words: {self.said[-400:]!r}")

    def look(self) -> None:
        """Compare the launch files with those of before: the set only grows."""
        if "Traceback (most recent call last)" in self.said:
            self.tally.tracebacks += 1
            self.tally.told.append(self.said[-1500:])
        now = set(self.launches())
        gone = self.seen - now
        self.tally.lost += len(gone)
        self.tally.told += [f"gone: {name}" for name in sorted(gone)]
        self.seen |= now

    def launches(self) -> dict[str, dict[str, object]]:
        """The launch files that ended well, by name."""
        found = {}
        for path in (self.results / "launches" / "work").glob("p*.json"):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                if path.is_file():
                    record = json.loads(path.read_text(encoding="utf-8"))
                    if isinstance(record, dict) and record.get("status") == "ok":
                        found[path.name] = record
        return found

    def end(self, expected: int | None = 0) -> Tally:
        """Run undisturbed what is missing, then count everything.

        Args:
            expected: the exit code of that run; None runs nothing more.
        """
        if expected is not None:
            code = self.run()
            self.expect(code == expected, f"the undisturbed run ended with {code}")
        self.run("collect")
        self.count_rows()
        self.count_orphans()
        time.sleep(0.2)
        # What another program of this host has mapped is its own, as long as it runs.
        left = set(PLACE.glob("mpich_shm_*")) - self._segments - mapped()
        self.tally.segments += len(left)
        return self.tally

    def count_rows(self) -> None:
        """Every repetition of every launch that ended well stands in the table, once."""
        wanted: Counter[tuple[str, str, str]] = Counter()
        for record in self.launches().values():
            for number, _ in enumerate(record["repetitions"]):  # type: ignore[arg-type]
                wanted[str(record["point"]), str(record["launch"]), str(number)] = 1
        found: Counter[tuple[str, str, str]] = Counter()
        table = rows_path(self.results, "work")
        if table.is_file():
            _, rows = read_cells(table, ROW_COLUMNS)
            found = Counter((row["point"], row["launch"], row["repetition"]) for row in rows)
        self.tally.lost += sum((wanted - found).values())
        self.tally.doubled += sum(number - 1 for number in found.values())

    def count_orphans(self) -> None:
        """Processes of this case that are left when they have had time to end; they are killed."""
        end = time.monotonic() + _GRACE_SECONDS
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        self.tally.orphans += len(left)
        for process in left:
            with contextlib.suppress(psutil.Error):
                self.tally.told.append(f"orphan: {process.cmdline()}")
                process.kill()

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Living processes of this case, with a word on their command line.

        One that cleared its environment is known by this case's folder on its command line.
        """
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                line = " ".join(process.cmdline())
                ours = process.environ().get(MARK) == self.mark or f"{self.folder}/" in line
                alive = process.status() != psutil.STATUS_ZOMBIE
                if ours and alive and process.pid != os.getpid() and word in line:
                    found.append(process)
        return found


def mapped() -> set[Path]:
    """Segments that some process has mapped."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            found |= set(re.findall(rf"{PLACE}/mpich_shm_\w+", maps.read_text(errors="replace")))
    return {Path(path) for path in found}
