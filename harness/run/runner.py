"""Run what a study lacks, alone on its host, and leave its tables up to date."""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import socket
import time
from collections.abc import Iterator

from filelock import FileLock

from harness.errors import UserError
from harness.job import SCHEDULERS, current_job
from harness.launch import segments
from harness.launch.interruption import terminable
from harness.launch.process import kill_marked
from harness.launch.recovery import RUNNING, Verdict, end_adopted, log_of, recover
from harness.run.launches import Launches, Ran
from harness.run.progress import Reporter
from harness.run.session import Session
from harness.submission.manifest import Task
from harness.tables.locks import at_once, host_lock

log = logging.getLogger(__name__)


def run(
    session: Session,
    reporter: Reporter,
    *,
    index: int | None = None,
    retry: bool = False,
    task: Task | None = None,
) -> Ran:
    """Run every launch that is missing, then collect.

    A task of a submission leaves launch files only: tables are for `collect`, so that no two tasks
    ever write one file.

    Args:
        session: the study, opened.
        reporter: told of what happens.
        index: only the point with this index.
        retry: launch points again that failed.
        task: only what this task of a submission runs.

    Returns:
        how many launches were run, and how the points stand.

    Raises:
        UserError: if there is no such point, another run measures on this host, or a table of
            the study on disk is not one.
        KeyboardInterrupt: after collecting what was finished.
    """
    if index is not None and not 0 <= index < len(session.points):
        raise UserError(
            f"{session.study.source.path}: --index {index}: there is no such point; expected 0 to "
            f"{len(session.points) - 1}"
        )
    session.folder.mkdir(parents=True, exist_ok=True)
    # A task is alone in its job, and a thousand tasks would leave a thousand locks.
    alone = contextlib.nullcontext() if task else alone_on_host(session)
    with terminable(), alone:
        clean_up(session)
        launches = Launches(session, reporter, index=index, retry=retry, task=task)
        launches.check()
        if task is None:
            launches.collect()  # a table that cannot be extended is told of before launching
        began = time.time()
        try:
            launches.everything()
        finally:
            if task is None:
                launches.collect()
                segments.remove_abandoned(began)
    return launches.summary()


@contextlib.contextmanager
def alone_on_host(session: Session) -> Iterator[None]:
    """Two runs at once on one host would time each other; schedulers keep their jobs apart."""
    job = current_job()
    owner = job.owner if job else socket.gethostname()
    busy = UserError(
        f"{session.results}: another run measures on this host; expected one at a time, "
        "since two would disturb each other's timings: wait until it ends, or stop it"
    )
    with contextlib.ExitStack() as held:
        # Of the folder: whoever holds it may tidy up what dead runs on this host left in it.
        own = FileLock(session.results / "launches" / f".measuring-{owner}.lock")
        held.enter_context(at_once(own, busy))
        if job is None:
            try:
                held.enter_context(at_once(FileLock(host_lock()), busy))
            except (OSError, NotImplementedError) as error:
                log.warning("no lock for this host (%s): runs with other results folders may "
                            "measure at the same time", error)  # fmt: skip
        yield


def clean_up(session: Session) -> None:
    """Tidy up what launches left that were killed with their runner: folders, processes.

    None of them is alive: we hold the lock of this host, or of the job that was started again.
    """
    launches, job = session.results / "launches", current_job()
    if job:
        owner = session.folder / RUNNING / job.owner
        reason = (f"interrupted: {SCHEDULERS[job.scheduler]} started job {job.number} again "
                  f"(restart {job.restarts})")  # fmt: skip
        recover(session.results, owner, Verdict("failed", reason, interrupted=True))
        return
    stale = [
        folder for running in launches.glob(f"*/{RUNNING}")
        for folder in (running / socket.gethostname()).glob("*")
    ]  # fmt: skip
    if stale:
        kill_marked({folder.name for folder in stale})
        # The ranks of a killed runner die with it, also those that have noted nothing yet.
        begun = [path.stat().st_mtime for folder in stale for path in folder.glob("launch.json")]
        segments.remove_abandoned(min(begun, default=math.inf))
    for folder in stale:
        end_adopted(folder)
        study = folder.parents[2].name
        log_of(session.results, study, folder.name).unlink(missing_ok=True)
        segments.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)
