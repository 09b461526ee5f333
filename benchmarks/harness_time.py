"""What the harness itself costs: seconds per point to plan, submit, run and collect a study.

    python benchmarks/harness_time.py --points 1000 --throttle 2

The workload does nothing, so all time is the harness' own. On a cluster the points are submitted as
a throttled array and Slurm runs them; without one (or with --local) they are run on this machine.
Prints CSV: each phase's wall time and the processor time of its command, in all and for a point.
`tasks`, the sum of what the array tasks took, holds start and end of each point's ranks; Slurm's
daemons start them, so their processor time is not known. Exit code 1 if a point is not done.
"""

from __future__ import annotations

import csv
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from harness.tables.table import read_cells

NOTHING = """
class Nothing:
    version = 1

    def setup(self, comm, parameters):
        pass

    def run(self):
        return {}

    def teardown(self):
        pass
"""

STUDY = """
name = "nothing"
workload = "nothing:Nothing"
[sweep.product]
x = {values}
[measure]
launches = 1
repetitions = 1
warmups = 0
time_limit_seconds = 60
"""


class Stopwatch:
    """Runs commands of the harness on one study, and keeps what each phase took."""

    def __init__(self, folder: Path, points: int) -> None:
        self.folder, self.points = folder, points
        self.study, self.results = folder / "nothing.toml", folder / "results"
        (folder / "nothing.py").write_text(NOTHING)
        self.study.write_text(STUDY.format(values=list(range(points))))
        self.rows: list[tuple[str, float, float | None]] = []

    def harness(self, phase: str, command: str, *options: str) -> None:
        """One command; its wall time and its processor time are a row."""
        program = [sys.executable, "-m", "harness", command, str(self.study),
                   "--results", str(self.results), *options]  # fmt: skip
        before, started = _spent(), time.monotonic()
        with (self.folder / f"{phase}.log").open("w") as log:
            done = subprocess.run(program, cwd=self.folder, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            raise click.ClickException(f"harness {command}: {Path(log.name).read_text()[-2000:]}")
        self.add(phase, time.monotonic() - started, _spent() - before)

    def add(self, phase: str, seconds: float, processor: float | None) -> None:
        """A row."""
        self.rows.append((phase, seconds, processor))

    def print(self) -> None:
        """All rows, as CSV."""
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["phase", "points", "seconds", "seconds_per_point", "processor_seconds",
                         "processor_seconds_per_point"])  # fmt: skip
        for phase, seconds, processor in self.rows:
            cpu = ["", ""] if processor is None else [processor, processor / self.points]
            cells = [seconds, seconds / self.points, *cpu]
            writer.writerow([phase, self.points, *(c and f"{c:.5f}" for c in cells)])

    @property
    def submission(self) -> Path:
        """The folder of the only submission."""
        (manifest,) = self.results.glob("submissions/nothing/*/manifest.json")
        return manifest.parent

    def task_seconds(self) -> Iterator[float]:
        """From the begin to the end of each task, as its notes tell."""
        notes = self.submission / "tasks"
        for end in notes.glob("*.end.json"):
            begin = end.with_name(end.name.replace(".end.", ".begin."))
            yield (_noted(end) - _noted(begin)).total_seconds()


def _noted(path: Path) -> datetime:
    return datetime.fromisoformat(json.loads(path.read_text())["at"])


def _spent() -> float:
    """Processor time of the commands that have ended, theirs included that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait_for_jobs(jobs: dict[str, str]) -> None:
    command = ["squeue", "--noheader", f"--jobs={','.join(jobs.values())}"]
    while subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip():
        time.sleep(1)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--points", default=1000, show_default=True, help="Points of the study.")
@click.option("--throttle", default=2, show_default=True, help="Array tasks at once.")
@click.option("--pack", default=20, show_default=True, help="Points of an array task.")
@click.option("--local", is_flag=True, help="Run on this machine, also where there is a Slurm.")
def main(points: int, throttle: int, pack: int, local: bool) -> None:
    """Time each phase of a study of no-op points."""
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch(Path(folder), points)
        watch.harness("plan", "plan")
        if local or shutil.which("sbatch") is None:
            watch.harness("run", "run")
        else:
            started = time.monotonic()
            watch.harness("submit", "submit", "--by", "points", "--pack", str(pack),
                          "--throttle", str(throttle))  # fmt: skip
            watch.harness("status, waiting", "status")
            _wait_for_jobs(json.loads((watch.submission / "jobs.json").read_text()))
            watch.add("submit to end", time.monotonic() - started, None)
            watch.add("tasks", sum(watch.task_seconds()), None)
        # The tables are there: made again from nothing, they tell what all rows take to merge.
        for table in watch.results.glob("nothing*.csv"):
            table.unlink()
        watch.harness("collect", "collect")
        watch.harness("collect, nothing new", "collect")
        watch.harness("status, done", "status")
        watch.print()
        states = read_cells(watch.results / "nothing.points.csv", ["state"])[1]
    left = sum(row["state"] != "done" for row in states)
    if left:
        raise click.ClickException(f"{left} of {points} points are not done")


if __name__ == "__main__":
    main()
