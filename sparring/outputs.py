"""Files that are written when work ends: seen to before it begins, and kept when writing fails."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import SparringError

if TYPE_CHECKING:
    from mpi4py import MPI


def check_outputs(
    outputs: Mapping[str, Path | None],
    *,
    existing: Collection[str] = (),
    make_folders: bool = False,
    comm: MPI.Intracomm | None = None,
) -> None:
    """See before any work whether every output can be written, and none over another.

    Args:
        outputs: the files by what the user calls them, such as ``--json``; None is not wanted.
        existing: names of those that may exist already.
        make_folders: make the folders that are missing.
        comm: ranks that all hear what rank 0 finds, which is the one to write; collective.

    Raises:
        SparringError: if one cannot be written.
    """
    reason = ""
    if comm is None or comm.rank == 0:
        reason = _refusal(outputs, existing, make_folders)
    if comm is not None:
        reason = comm.bcast(reason)
    if reason:
        raise SparringError(reason)


def _refusal(
    outputs: Mapping[str, Path | None], existing: Collection[str], make_folders: bool
) -> str:
    """Why an output cannot be written; empty if all can be."""
    taken: dict[str, str] = {}
    for name, path in outputs.items():
        if path is None:
            continue
        other = taken.setdefault(os.path.realpath(path), name)
        if other != name:
            return f"{path}: named by both {other} and {name}; expected a file for each"
        try:
            if path.is_dir():
                return f"{path}: is a folder; expected the name of a file"
            if name not in existing and os.path.lexists(path):
                return f"{path}: exists already; name another file"
            if not make_folders and not path.parent.is_dir():
                return f"{path}: cannot be written: there is no folder {path.parent}"
            path.parent.mkdir(parents=True, exist_ok=True)
            with _written_beside(path, b"a disk that is full is seen here"):
                pass
        except OSError as error:
            return f"{path}: cannot be written: {error.strerror}"
    return ""


@contextlib.contextmanager
def _written_beside(path: Path, content: bytes | memoryview) -> Iterator[Path]:
    """A file on disk in the same folder, which is removed again unless it was renamed.

    Raises:
        OSError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def replace(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file whole or not at all: a failure leaves what was there intact.

    Raises:
        OSError: if it cannot be written.
    """
    raw = content.encode() if isinstance(content, str) else content
    with _written_beside(path, raw) as temporary:
        temporary.replace(path)


def write(path: Path, content: str | bytes | memoryview, *, existing: bool = False) -> None:
    """Write a file; what cannot stand there is kept elsewhere.

    Args:
        path: the file.
        content: all of it; text is written as UTF-8.
        existing: whether it may take the place of another.

    Raises:
        SparringError: if it could not be written there, telling where it is.
    """
    try:
        if not existing and os.path.lexists(path):
            raise FileExistsError(0, "another file is there by now")
        replace(path, content)
    except OSError as error:
        raise SparringError(
            f"{path}: cannot be written: {error.strerror or error}; {rescue(path, content)}"
        ) from None


def rescue(path: Path, content: str | bytes | memoryview) -> str:
    """Keep in a temporary folder what cannot be written to a path; says where, or why not."""
    try:
        kept = Path(tempfile.mkdtemp(prefix="sparring-kept-")) / path.name
        replace(kept, content)
    except OSError as error:
        return f"nor could it be kept among temporary files: {error.strerror or error}"
    return f"it is kept as {kept}"


def write_all(*writers: Callable[[], None]) -> None:
    """Call every one of them, also after one has failed.

    Raises:
        SparringError: if any did, with what each of them said.
    """
    reasons = []
    for writer in writers:
        try:
            writer()
        except SparringError as error:
            reasons.append(str(error))
    if reasons:
        raise SparringError("; ".join(reasons))


def number_or_none(value: Any) -> Any:
    """What JSON can hold: a number that is none becomes None, anything else stays."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
