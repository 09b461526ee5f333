"""Launches whose runner was killed: what they had finished becomes a launch file after all.

A running launch keeps a folder ``launches/<study>/.running/<owner>/<point>-<launch>/`` with what it
is (``launch.json``) and what it has finished (``repetitions.jsonl``). Who finds it when the owner
is dead (the next run on the host, the task that Slurm started again, a collector) turns it into a
record, one at a time: who comes second finds it written. The record's name is the launch's own, so
that it is written once whoever finds it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from harness.cpus import host_name
from harness.files import read_json, write_whole
from harness.launch import segments
from harness.launch.process import kill_with_descendants
from harness.tables.locks import shared_lock
from harness.tables.records import LaunchRecord, record_of, record_path, write_record

log = logging.getLogger(__name__)

#: Folder of the launches that run, below a study's launch files.
RUNNING = ".running"
#: File of the repetitions that a running launch has finished, in its folder.
FINISHED = "repetitions.jsonl"
_LOG_TAIL_BYTES = 65536
#: A process's moment of birth, noted in whole seconds, moves with the system's clock.
_CLOCK_SECONDS = 2
_NOTE = "adopted"


@dataclass(frozen=True)
class Verdict:
    """How a launch ended: the status and message of its row, and whether its point is to blame."""

    status: str
    message: str = ""
    interrupted: bool = False


def log_of(results: Path, study: str, launch: str) -> Path:
    """Where the output of a launch goes; kept if the launch does not end well."""
    return results / "logs" / study / f"{launch}.log"


def last_words(log: Path) -> str:
    """The end of a log in a line: how MPICH says that a rank ended, and what was said last."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    own, _, verdict = text.partition("=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES")
    lines = [line.strip() for line in own.splitlines() if line.strip(" =")]
    ending = re.search(r"EXIT STRING: (.+)", verdict)
    return ": ".join([*([ending[1].strip()] if ending else []), *lines[-1:]]) or "no output"


def begin(folder: Path, record: LaunchRecord) -> None:
    """Note what a launch is before it begins."""
    write_whole(folder / "launch.json", json.dumps(vars(record)), durable=False)


def finished_repetitions(folder: Path) -> list[dict[str, Any]]:
    """The repetitions that a running launch has finished so far, each a line of a file.

    Raises:
        ValueError: if its file holds something else.
    """
    output = folder / FINISHED
    # What comes after the last line's end was being written when the launch was killed.
    lines = output.read_bytes().split(b"\n")[:-1] if output.is_file() else []
    try:
        repetitions = [json.loads(line) for line in lines]
    except RecursionError:
        raise ValueError(f"{output.name} is nested too deeply") from None
    if not all(isinstance(repetition, dict) for repetition in repetitions):
        raise ValueError(f"{output.name} holds no repetitions")
    return repetitions


def ended(begun: LaunchRecord, verdict: Verdict, folder: Path) -> LaunchRecord:
    """A launch with how it ended and what it finished.

    Its source is what ran: ranks that shared cores were not measured, whatever was planned.
    """
    repetitions = finished_repetitions(folder)
    shared = any(repetition.get("shares_cores") for repetition in repetitions)
    return replace(
        begun,
        status=verdict.status,
        message=verdict.message,
        interrupted=verdict.interrupted,
        repetitions=repetitions,
        source="oversubscribed" if shared and begun.source == "measured" else begun.source,
    )


def recover(results: Path, owner: Path, verdict: Verdict) -> int:
    """Turn all launches below a dead owner's folder into launch files.

    Returns:
        how many there were.
    """
    # Who read a folder that another removes meanwhile would write a launch that finished nothing.
    try:
        with shared_lock(owner.parents[1] / ".recovery.lock"):
            return _recover_all(results, owner, verdict)
    except OSError as error:  # a folder that is another user's, read only
        log.warning("%s: launches of a job that ended are left as they are (%s)", owner, error)
        return 0


def _recover_all(results: Path, owner: Path, verdict: Verdict) -> int:
    number = 0
    for folder in sorted(owner.glob("*")):
        try:
            number += _recover(results, folder, verdict)
        except (OSError, ValueError) as error:
            log.warning("%s is no running launch and is left alone (%s)", folder, error)
            continue
        end_adopted(folder)
        segments.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)
    if owner.is_dir() and not any(owner.iterdir()):
        owner.rmdir()
    return number


def _recover(results: Path, folder: Path, verdict: Verdict) -> bool:
    if not (folder / "launch.json").is_file():  # killed before it began
        return False
    begun = record_of(read_json(folder / "launch.json"))
    launches = folder.parents[2]
    if record_path(launches, begun.point, begun.launch).exists():  # killed after it had ended
        return False
    path = log_of(results, begun.study, folder.name)
    told = f": {last_words(path)}"[:300] if path.is_file() and path.stat().st_size else ""
    message = f"{verdict.message}{told}; log: {path.relative_to(results)}"
    write_record(launches, ended(begun, replace(verdict, message=message), folder))
    return True


def note_adopted(folder: Path, pid: int) -> None:
    """Note in a launch's folder a process that came to us, for `end_adopted`."""
    with contextlib.suppress(psutil.Error, OSError):
        began = int(psutil.Process(pid).create_time())
        (folder / f"{_NOTE}:{host_name()}:{pid}:{began}").touch()


def end_adopted(folder: Path) -> None:
    """Kill what is noted of a launch whose runner was killed, and what is below it.

    Only what was started when the note says so: a process's number may be another's by now.
    """
    for note in folder.glob(f"{_NOTE}:{host_name()}:*"):
        pid, began = (int(word) for word in note.name.split(":")[-2:])
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if abs(process.create_time() - began) < _CLOCK_SECONDS:
                kill_with_descendants(process)
