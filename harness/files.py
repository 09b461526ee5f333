"""Files read and written with care: whole or not at all, and every error names its file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path

TYPE_CHECKING = False  # a rank imports no typing for this
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let the system's errors name this file.

    A full disk, met in mid-file, names none, and what is written whole has a temporary name.
    """
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        error.filename2 = None
        raise


def check_regular(path: Path) -> None:
    """Refuse what stands in a file's place and is none; a path where nothing stands is fine.

    Raises:
        OSError: for a folder, a pipe (to open it would wait for ever), a device ...
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode):
                raise OSError(errno.EISDIR, "is a folder; expected a file", str(path))
            raise OSError(errno.EINVAL, "is no regular file; expected one", str(path))


def read_json(path: Path) -> Any:
    """What a regular file in JSON holds.

    Raises:
        OSError: if it is no such file, or cannot be read.
        ValueError: if it is no JSON in UTF-8.
    """
    check_regular(path)
    try:
        with naming(path):
            return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def append_line(path: Path, text: str) -> None:
    """Add a line to a file, which need not be there; a reader that finds no line end leaves it out.

    Many small additions are kept so: to write the whole again for each takes ever longer.
    """
    line = text.encode("utf-8") + b"\n"
    with naming(path), path.open("ab", buffering=0) as file:
        while line:  # a disk that becomes full takes a part first
            line = line[file.write(line) :]


def write_whole(path: Path, text: str, *, durable: bool = True) -> bool:
    """Put a file in place whole or not at all; an equal file is left untouched.

    Where a symbolic link stands, the file that it names is written.

    Args:
        path: the file.
        text: what it is to hold.
        durable: wait until the disk has it; what need not outlive a power cut saves milliseconds.

    Returns:
        whether the file changed.
    """
    content = text.encode("utf-8")
    check_regular(path)
    if path.is_file() and path.read_bytes() == content:
        return False
    import tempfile  # every rank imports this module, and none writes so

    target = Path(os.path.realpath(path))
    with naming(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)  # mkstemp is private; results are to be shared
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return True
