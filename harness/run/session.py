"""Everything that is fixed while a study is measured, or while its state is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.launch.launcher import Launcher, find_launcher
from harness.launch.preflight import complete
from harness.run.environment import environment_id, fingerprint
from harness.run.points_table import write_points
from harness.run.schedule import PointState, states_of
from harness.study.points import Point, expand
from harness.study.study import Study, study_of
from harness.study.toml_source import TomlSource
from harness.submission.dead import recover_dead_jobs
from harness.submission.manifest import Manifest
from harness.tables import records
from harness.tables.collect import Collected, collect
from harness.workload import WorkloadCode, inspect_workload


@dataclass
class Session:
    """A study, its points, its code and the environment that it is measured in.

    Args:
        study: the study, a preset chosen.
        results: folder of the tables and launch files.
        given: the points, where a submission fixed them; else the study's, on this machine.

    Raises, when it is opened:
        UserError: if the study, its workload or the launcher cannot be used.
    """

    study: Study
    results: Path
    given: Sequence[Point] | None = None
    points: list[Point] = field(init=False)
    code: WorkloadCode = field(init=False)
    launcher: Launcher = field(init=False)
    fingerprint: dict[str, Any] = field(init=False)
    environment: str = field(init=False)

    def __post_init__(self) -> None:
        self.results = self.results.resolve()
        self.code = inspect_workload(self.study)
        self.emulation: WorkloadCode | None = None
        if self.study.emulated:
            # One environment for both, whether or not points are emulated now: a figure shows one.
            self.emulation = inspect_workload(self.study.emulated)
            self.code = self.code.joined(self.emulation)
        if self.given is None:
            self.points = complete(self.study, expand(self.study), self.results)
        else:
            self.points = list(self.given)
        self.launcher = find_launcher()
        self.fingerprint = fingerprint(self.code, self.launcher)
        self.environment = environment_id(self.fingerprint)

    def workload_of(self, point: Point) -> tuple[str, str]:
        """Name and version of what runs a point."""
        if point.emulates and self.study.emulated and self.emulation:
            return self.study.emulated.workload, self.emulation.version
        return self.study.workload, self.code.version

    @property
    def folder(self) -> Path:
        """Where the launch files are."""
        return records.launches_folder(self.results, self.study.name)

    def states(self) -> dict[str, PointState]:
        """What is done so far under the present environment and code."""
        found = records.read_records(self.folder)
        measure = self.study.measure
        states = states_of(
            self.points, found, self.environment, measure.baseline, measure.throughput
        )
        for state in states.values():
            state.stop = records.read_stop(
                self.folder, self.environment, state.point.id, self.study.measure.budget_seconds
            )
        return states

    def look_elsewhere(self) -> None:
        """Take the environment of the compute nodes for ours: a login node tells of their work.

        Of the environments that differ from ours only in the processor and the launcher, and in
        which array tasks measured points of the study, the one with most launches; ours, if none.
        """
        alike = {
            session["environment"]
            for session in records.read_sessions(self.folder)
            if _portable(session["fingerprint"]) == _portable(self.fingerprint)
        }
        points = {point.id for point in self.points}
        found: dict[str, tuple[int, str]] = {}
        for record in records.read_records(self.folder):
            if record.submission and record.point in points and record.environment in alike:
                number, _ = found.get(record.environment, (0, ""))
                found[record.environment] = (number + 1, record.started_at)
        if found:
            self.environment = max(found, key=lambda environment: found[environment])

    def collect(self) -> Collected:
        """Bring the tables up to date; launches that died with their job are in them too."""
        recover_dead_jobs(self.results, self.folder)
        collected = collect(self.results, self.study.name)
        states = self.states()
        write_points(self.results, self.study, states.values(), self.environment)
        return collected


def submitted_session(manifest: Manifest, results: Path) -> Session:
    """Open a study as it was submitted."""
    source = TomlSource(manifest.study_file, manifest.study_text)
    study = study_of(source, manifest.preset or None, manifest.overrides)
    return Session(study, results, given=manifest.planned())


def _portable(fingerprint_of: dict[str, Any]) -> dict[str, Any]:
    """The part of a fingerprint that a login node and the compute nodes share."""
    mpi = {key: value for key, value in fingerprint_of.get("mpi", {}).items() if key != "launcher"}
    return {**fingerprint_of, "cpu": None, "mpi": mpi}
