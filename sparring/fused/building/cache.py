"""Where built libraries are kept: shared by processes, whole or not there.

A file ends with a checksum of the rest, so that one which was cut short or damaged is seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sparring.fused.machine import BuildError

#: Environment variable that names another folder for the libraries.
CACHE_VARIABLE = "SPARRING_CACHE"
#: Seconds to wait for another process that builds the same library.
LOCK_SECONDS = 600.0

_MAGIC = b"sparring"
_TRAILER = len(_MAGIC) + hashlib.sha256().digest_size
_STALE_SECONDS = 3600.0

log = logging.getLogger(__name__)
_told: set[str] = set()


def cache_folder(named: Path | None) -> Path:
    """The folder of the libraries: the named one, else SPARRING_CACHE, else in the user's cache.

    A private one where that lies in a home which nobody knows.

    Raises:
        BuildError: if there is no folder for temporary files either.
    """
    import platformdirs

    chosen = named or os.environ.get(CACHE_VARIABLE)
    try:
        folder = Path(chosen) if chosen else platformdirs.user_cache_path("sparring") / "kernels"
        return folder.expanduser().absolute()
    except (RuntimeError, OSError) as error:
        return _instead_of(chosen or "the user's cache", error)


def writable(wanted: Path) -> tuple[Path, bool]:
    """The folder, or a private one if it cannot be written; and whether files in it can be locked.

    Locks are tried here because, where the file system has none, `filelock` goes over to a kind
    that a killed process leaves behind.

    Raises:
        BuildError: if no folder can be written.
    """
    try:
        return wanted, _try_out(wanted)
    except OSError as error:
        private = _instead_of(wanted, error)
        return private, _try_out(private)


def _instead_of(wanted: Path | str, error: Exception) -> Path:
    """A private folder that can be written.

    Raises:
        BuildError: if there is none.
    """
    try:
        private = _private_folder()
        _try_out(private)
    except OSError as other:
        raise BuildError(
            f"kernels can be kept neither in {wanted} ({error}) nor in a folder for temporary "
            f"files ({other}): set {CACHE_VARIABLE}"
        ) from error
    told = f"{wanted} cannot be written ({error}): kernels are kept in {private}"
    if told not in _told:
        _told.add(told)
        log.warning("%s", told)
    return private


def _try_out(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _private_folder() -> Path:
    """A folder for temporary files that nobody else can write, because what is in it is run."""
    folder = Path(tempfile.gettempdir()) / f"sparring-kernels-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not ours or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is open to other users")
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes that build the library, unless that would take too long.

    To build without the lock is a waste and does no harm: a library appears whole or not at all.
    """
    from filelock import FileLock, Timeout

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(path, timeout=LOCK_SECONDS))
        except Timeout:
            log.warning("%s is still held after %g s: going on without it", path, LOCK_SECONDS)
        except (OSError, NotImplementedError) as error:
            log.info("%s cannot be locked (%s): going on without it", path, error)
        yield


def stamp(path: Path) -> tuple[int, int] | None:
    """What differs after a file was replaced; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


@contextlib.contextmanager
def scratch_folder(library: Path) -> Iterator[Path]:
    """A folder beside the library, so that a file in it can be renamed to the library."""
    for left in library.parent.glob("*.tmp"):  # by builders that were killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left)
    prefix = f"{library.stem}.{socket.gethostname()}.{os.getpid()}."
    with tempfile.TemporaryDirectory(
        prefix=prefix, suffix=".tmp", dir=library.parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def seal(library: Path) -> None:
    """Append the checksum; what loads libraries does not mind bytes after their end."""
    with library.open("r+b") as file:
        digest = hashlib.sha256(file.read()).digest()
        file.write(_MAGIC + digest)
        file.flush()
        os.fsync(file.fileno())


def is_whole(library: Path) -> bool:
    """Whether a sealed file is there, to its last byte as it was sealed."""
    try:
        data = library.read_bytes()
    except OSError:
        return False
    content, trailer = data[:-_TRAILER], data[-_TRAILER:]
    return bool(content) and trailer == _MAGIC + hashlib.sha256(content).digest()
