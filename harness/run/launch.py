"""One launch of a point: start its ranks, judge how they ended, keep what they finished."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.files import write_whole
from harness.job import allocation
from harness.launch import segments
from harness.launch.interruption import Terminated, TimeLimit, undisturbed
from harness.launch.loading import RESULTS
from harness.launch.process import Outcome, living_ranks
from harness.launch.process import run as run_process
from harness.launch.recovery import (
    FINISHED,
    Verdict,
    begin,
    ended,
    finished_repetitions,
    last_words,
    log_of,
    note_adopted,
)
from harness.launch.timing import clock_step, steady
from harness.noise.host import Look, between, look
from harness.noise.marks import of_launch
from harness.run.session import Session
from harness.study.command import argv_of
from harness.study.points import Point
from harness.study.values import Measure
from harness.tables import records
from harness.tables.records import LaunchRecord

#: Environment variable of a random length: what lies where in memory depends on the size of the
#: environment, and with it the time of some programs (Mytkowicz, Diwan, Hauswirth and Sweeney,
#: "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009).
PADDING = "HARNESS_PADDING"
_MOST_PADDING = 4096

#: How much later than its ranks a task may hear of the scheduler's signal.
_SIGNAL_SECONDS = 2.0

#: Within so long a process has mapped the segment that it has made.
_MAPPED_SECONDS = 0.1


_clock_step = cache(clock_step)  # it is the machine's


@dataclass(frozen=True)
class Company:
    """What a launch must know of another that runs at the same time on this host.

    Attributes:
        first_core: number of the core that its own first rank is bound to.
        pipes: where it and the other meet (`harness.launch.sharing.Meeting`).
    """

    first_core: int
    pipes: tuple[str, str]


@dataclass(frozen=True)
class Launch:
    """A launch that is about to begin.

    Attributes:
        session: the study, opened.
        measure: how it measures.
        point: what is launched.
        record: what it is; it ``failed`` unless it is told otherwise.
        owner: folder of whoever runs it, below ``.running`` (`harness.launch.recovery`).
        submitted: whether an array task runs it, which the scheduler may end at any moment.
        heartbeat: called now and then while it runs, with the seconds since it began.
        company: another launch that runs at the same time; None of one that is alone.
    """

    session: Session
    measure: Measure
    point: Point
    record: LaunchRecord
    owner: Path
    submitted: bool
    heartbeat: Callable[[float], None]
    company: Company | None = None
    _looks: list[Look] = field(default_factory=list)
    _padding: int = field(default_factory=lambda: secrets.randbelow(_MOST_PADDING))
    _segments: set[str] = field(default_factory=set)  # of ranks that were killed
    _others: set[str] = field(default_factory=segments.present)  # those that were there before
    _seen: set[str] = field(default_factory=set)  # ranks that have lived
    _gone: set[str] = field(default_factory=set)  # those of them that live no more

    @property
    def running(self) -> Path:
        """Where it keeps what it has finished so far."""
        return self.owner / f"{self.point.id}-{self.record.launch}"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return log_of(self.session.results, self.session.study.name, self.running.name)

    def run(self) -> LaunchRecord:
        """Run it to its end and write its file.

        Raises:
            Terminated: if the scheduler ends the task; its file is written then.
            KeyboardInterrupt: if the user stops it; it leaves no file then.
        """
        self.running.mkdir(parents=True)
        begin(self.running, self.record)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        outcome: Outcome | None = None
        self._looks.append(look())
        try:
            outcome = self._start()
            self._looks.append(look())
            if self.submitted and not self._went_well(outcome):
                # A scheduler signals the ranks and us at once, and their end may be seen first.
                time.sleep(_SIGNAL_SECONDS)
            with undisturbed():
                record = self._keep(self._verdict(outcome))
        except BaseException as error:
            with undisturbed():
                if outcome and self._went_well(outcome):  # done when the signal came
                    self._keep(Verdict("ok"))
                elif self.submitted and isinstance(error, Terminated):
                    interrupted = not isinstance(error, TimeLimit)
                    message = f"{error.reason}; {self._where()}"
                    self._keep(Verdict(error.status, message, interrupted))
                else:
                    self.log.unlink(missing_ok=True)  # interrupted: no row will name it
                self._tidy_up()
            raise
        if record.status == "ok":
            self.log.unlink(missing_ok=True)
        return record

    def _start(self) -> Outcome:
        study, point = self.session.study, self.point
        spec = {
            "workload": self.session.workload_of(point)[0],
            "parameters": point.parameters,
            "warmups": self.measure.warmups,
            "max_warmups": self.measure.max_warmups or self.measure.warmups,
            "repetitions": self.measure.repetitions,
            "throughput": self.measure.throughput,
            "oversubscribed": point.source in ("oversubscribed", "emulated"),
            "search_path": study.search_path,
            "allocated": bool(allocation().node),
            "meeting": self.company.pipes if self.company else (),
            "output": str(self.running / FINISHED),
        }
        spec_file = self.running / "spec.json"
        launcher = self.session.launcher

        def launched(program: list[str]) -> list[str]:
            return launcher.command(
                point.processes, point.threads_per_process, program, point.nodes
            )

        if study.command:
            argv, folder = argv_of(study.command, point.parameters), str(study.folder)
            bound = [sys.executable, "-m", "harness.launch.binding", folder, *argv]
            own = study.command.launcher
            spec |= {
                "command": launched(bound) if own else argv,
                "folder": str(Path.cwd()) if own else folder,
                "metrics": study.command.metrics,
            }
            command = [sys.executable, "-m", "harness.launch.program", str(spec_file)]
        else:
            command = launched([sys.executable, "-m", "harness.launch.worker", str(spec_file)])
        write_whole(spec_file, json.dumps(spec), durable=False)
        return run_process(
            command,
            {
                **launcher.variables(
                    point.processes,
                    point.threads_per_process,
                    self.company.first_core if self.company else 0,
                ),
                RESULTS: str(self.session.results),
                PADDING: "x" * self._padding,
            },
            mark=self.running.name,
            log=self.log,
            limit_seconds=self.measure.time_limit_seconds,
            heartbeat=self.heartbeat,
            grace_seconds=launcher.grace_seconds,
            lost=self._lost,
            adopted=lambda process: note_adopted(self.running, process),
            dying=lambda process: self._segments.update(segments.segments_of(process)),
        )

    def _keep(self, verdict: Verdict) -> LaunchRecord:
        """Write the file of a launch that has ended, with the repetitions that it finished."""
        record = self._with_host(ended(self.record, verdict, self.running))
        records.write_record(self.session.folder, record)
        self._tidy_up(well=verdict.status == "ok")
        return record

    def _with_host(self, record: LaunchRecord) -> LaunchRecord:
        """What the host told of it, and marks for what disturbed it."""
        host: dict[str, Any] = {"padding_bytes": self._padding}
        if len(self._looks) == 2:
            before, after = self._looks
            # What another launch does beside this one is not told from what others do.
            ours = self.session.launcher.kind == "mpiexec" and self.company is None
            host |= between(before, after, ours)
        kinds = of_launch(host, record.repetitions, record.source, self.point.threads_per_process,
                          _clock_step(), cold=self._is_cold(record))  # fmt: skip
        return replace(record, host={**host, "marks": " ".join(kind.mark for kind in kinds)})

    def _is_cold(self, record: LaunchRecord) -> bool:
        """Whether its warm-ups were to go on until times were steady, and were not."""
        most = self.measure.max_warmups or 0
        warm = [each["seconds"] for each in record.repetitions if each["warmup"]]
        return len(warm) >= most > self.measure.warmups and not steady(warm)

    def _tidy_up(self, well: bool = False) -> None:
        if not well and (new := segments.present() - self._others):
            # Of ranks that died before they could note theirs; what another program's ranks have,
            # or are about to have, they have in a moment, and it stays.
            time.sleep(_MAPPED_SECONDS)
            self._segments.update(new)
        segments.remove(self.running, self._segments)
        shutil.rmtree(self.running, ignore_errors=True)

    def _went_well(self, outcome: Outcome) -> bool:
        """Whether every repetition was finished; srun ends with 0 even if a node has failed."""
        if outcome.exit_code != 0:
            return False
        timed = [each for each in finished_repetitions(self.running) if not each["warmup"]]
        return len(timed) == self.measure.repetitions

    @property
    def _finished(self) -> int:
        return len(finished_repetitions(self.running))

    @property
    def _expected(self) -> int:
        return self.measure.warmups + self.measure.repetitions

    def _lost(self, launcher: int) -> bool:
        """Whether a rank has failed or is gone: now and then MPICH's launcher does not end then.

        Ranks on other nodes, and those that srun starts, are not ours to see.
        """
        living = set(living_ranks(launcher, "harness.launch.worker"))
        self._seen.update(living)
        self._gone.clear()
        self._gone.update(self._seen - living)
        return bool(self._gone) or any(self.running.glob("*.error"))

    def _verdict(self, outcome: Outcome) -> Verdict:
        """Status and message of a launch; a message names the log that tells the rest."""
        told = sorted(self.running.glob("*.error"))
        how = f"exit code {outcome.exit_code}"
        if outcome.given_up:
            how = "a rank has ended, or failed, and its launcher has not: killed"
            if (
                self._gone and not told
            ):  # as after os._exit(0): no launcher counts that as a failure
                gone = ", ".join(sorted(self._gone, key=lambda rank: (len(rank), rank)))
                how = (f"rank {gone} of {self.point.processes} ended without a word after "
                       f"{self._finished} of {self._expected} repetitions, which the others wait "
                       "for: killed")  # fmt: skip
        elif outcome.timed_out:
            how = f"killed at the time limit of {self.measure.time_limit_seconds:g} s"
            if not told:
                return Verdict("timeout", f"{how}; {self._where()}")
        elif self._went_well(outcome):
            return Verdict("ok")
        elif outcome.exit_code == 0:
            how += f" after {self._finished} of {self._expected} repetitions, as after os._exit(0)"
        # A rank that told why it failed has failed, even where its launcher never came to an end.
        reason = told[0].read_text(encoding="utf-8") if told else last_words(self.log)
        shown = reason if len(reason) <= 500 else f"{reason[:500]} ..."
        return Verdict("failed", f"{how}: {shown}; {self._where()}")

    def _where(self) -> str:
        return f"log: {self.log.relative_to(self.session.results)}"
