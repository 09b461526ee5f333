"""Shared memory of MPICH: a file in /dev/shm for each launch, which its processes remove.

Those that are killed, or abort, leave it there for good: a megabyte a rank, until a container's 64
MiB are full and the next launch dies of a bus error. So every rank notes its file in the folder of
its running launch, and who ends the launch, or finds it dead, removes what is noted.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from harness.cpus import host_name

TYPE_CHECKING = False  # a rank imports nothing for this
if TYPE_CHECKING:
    from collections.abc import Iterable


PLACE = Path("/dev/shm")
_PREFIX = "mpich_shm_"
_NOTE = "shared-memory"
#: Measured with MPICH 5.0: 1,061,440 for one rank and 1,057,344 for each further one.
_BYTES_A_RANK = 1_061_440
#: Long after it has made its segment a process has mapped it.
_MAPPED_SECONDS = 1.0


def note(folder: Path) -> None:
    """Note which segments this process has, for `remove`; call it when MPI has started."""
    for segment in _mapped(Path("/proc/self/maps")):
        (folder / f"{_NOTE}:{host_name()}:{segment}").touch()


def segments_of(process: int) -> set[str]:
    """Which segments a process has: who ends ranks asks, since they may not have noted theirs."""
    return _mapped(Path(f"/proc/{process}/maps"))


def present() -> set[str]:
    """Which segments of this user's there are on this host, whoever has them."""
    found = set()
    with contextlib.suppress(OSError), os.scandir(PLACE) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.startswith(_PREFIX) and entry.stat().st_uid == os.getuid():
                    found.add(entry.name)
    return found


def remove_abandoned(since: float) -> None:
    """Remove the segments of this user's that were made after a moment and that no process has.

    A rank that is killed may not have noted its own. One that is younger than a second may be
    another program's, which has not mapped it yet: it is looked at again when it is older.

    Args:
        since: seconds since the epoch.
    """
    made = {}
    for segment in present():
        with contextlib.suppress(OSError):
            moment = (PLACE / segment).stat().st_mtime
            if moment >= since:
                made[segment] = moment
    left = _unmapped(set(made))
    if left:
        age = time.time() - max(made[segment] for segment in left)
        time.sleep(min(_MAPPED_SECONDS, max(0.0, _MAPPED_SECONDS - age)))
        _remove_unmapped(left)


def remove(folder: Path, seen: Iterable[str] = ()) -> None:
    """Remove this host's segments that are noted in the folder of a launch that has ended.

    One that any process still has is left alone, whatever the note says.

    Args:
        folder: of the launch.
        seen: further ones, that its ranks were seen to have.
    """
    noted = {path.name.rpartition(":")[2] for path in
             folder.glob(f"{_NOTE}:{host_name()}:{_PREFIX}*")}  # fmt: skip
    _remove_unmapped({segment for segment in noted.union(seen) if (PLACE / segment).exists()})


def _unmapped(segments: set[str]) -> set[str]:
    """Those that no process has."""
    for maps in Path("/proc").glob("[0-9]*/maps") if segments else ():
        segments = segments - _mapped(maps)
    return segments


def _remove_unmapped(segments: set[str]) -> None:
    for segment in _unmapped(segments):
        with contextlib.suppress(OSError):
            (PLACE / segment).unlink()


def lacking_room(processes: int) -> str:
    """A sentence that says that MPICH lacks memory for so many ranks here; empty if it does not."""
    try:
        space = os.statvfs(PLACE)
    except OSError:
        return ""  # not Linux: nobody knows
    free, needed = space.f_bavail * space.f_frsize, processes * _BYTES_A_RANK
    if free >= needed:
        return ""
    return (
        f"{PLACE} has {free / 2**20:.1f} MiB free and MPICH needs {needed / 2**20:.1f} MiB for "
        f"{processes} processes, which would die of a bus error (files {_PREFIX}* of programs that "
        "have ended may be removed)"
    )


def _mapped(maps: Path) -> set[str]:
    """Names of the segments that a process has; none if it is gone or another user's."""
    try:
        lines = maps.read_text(errors="replace").splitlines()
    except OSError:
        return set()
    paths = [line.partition("/")[2] for line in lines if f"{PLACE}/{_PREFIX}" in line]
    return {path.removesuffix(" (deleted)").rpartition("/")[2] for path in paths}
