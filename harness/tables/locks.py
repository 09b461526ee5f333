"""A lock that tasks on several hosts respect, on whatever file system they share."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from harness.errors import UserError

log = logging.getLogger(__name__)

#: Environment variable with the folder of `host_lock`.
LOCKS = "HARNESS_LOCKS"

#: A collection takes seconds; whoever waits this long waits for a process that was killed.
_PATIENCE_SECONDS = 600.0


@contextlib.contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Hold the lock; wait for others who hold it.

    The system's lock (flock(2)), which ends with its process. Where the file system has none
    (Lustre mounted without ``flock``), a file that stands beside it, which outlives a killed one.

    Raises:
        UserError: if a file of the second kind stays for ten minutes.
    """
    lock: FileLock | SoftFileLock = FileLock(path)
    try:
        lock.acquire()
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and not _unsupported(error):
            raise
        soft = path.with_suffix(".soft-lock")
        log.warning("%s: this file system has no locks; taking turns by %s", path.parent, soft.name)
        lock = SoftFileLock(soft)
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            raise UserError(
                f"{soft}: held for ten minutes; expected its owner to be done by now (remove the "
                "file if no collection runs)"
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def at_once(lock: FileLock, busy: UserError) -> Iterator[None]:
    """Hold a lock that nobody is waited for.

    Raises:
        UserError: ``busy``, if somebody holds it.
        OSError, NotImplementedError: if it cannot be had at all.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        lock.release()


def host_lock() -> Path:
    """The file whose lock a user's run on this host holds while it measures.

    In the system's temporary folder, the one place that every host has to itself; `LOCKS` names
    another one.
    """
    folder = os.environ.get(LOCKS) or os.environ.get("TMPDIR") or "/tmp"
    return Path(folder) / f"sparring-measuring-{os.getuid()}.lock"


def _unsupported(error: OSError) -> bool:
    return error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
