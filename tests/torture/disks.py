"""Disks that are full, read-only or out of inodes: before, during, at the end.

With root a small tmpfs of our own (mount(8)); else a limit on the size of files (setrlimit(2),
RLIMIT_FSIZE), which knows no read-only disks and no inodes.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture.room import STUDY, Room, Tally


def disks(folder: Path) -> Iterator[Tally]:
    """Every case that this user can make."""
    if os.geteuid() != 0:
        for size in (0, 200, 2000, 20_000):
            yield _limited(folder / f"limit-{size}", size)
        return
    yield _mounted(folder / "full-before", "disk full before (tmpfs)", before="fill")
    yield _mounted(folder / "full-during", "disk full during (tmpfs)", during="fill")
    yield _mounted(folder / "full-end", "disk full at the end (tmpfs)", late=True, during="fill")
    yield _mounted(folder / "read-only-before", "read-only before (tmpfs)", before="ro")
    yield _mounted(folder / "read-only-during", "read-only during (tmpfs)", during="ro")
    yield _mounted(folder / "inodes-before", "no inodes before (tmpfs)", before="inodes")
    yield _mounted(folder / "inodes-during", "no inodes during (tmpfs)", during="inodes")
    yield _temporary(folder / "full-tmpdir")


def _mounted(
    folder: Path, case: str, before: str = "", during: str = "", late: bool = False
) -> Tally:
    room = Room(folder, case)
    room.results.mkdir()
    _mount("-t", "tmpfs", "-o", "size=4m,nr_inodes=300", "tmpfs", str(room.results))
    try:
        if not before:
            room.run("run", "--set", "measure.launches=1")
        if before:
            _break(room, before)
            code = room.run()
            room.expect(code == 2, f"the run ended with {code} and not 2")
        else:
            process = room.start(room.command())
            seen = len(room.launches())
            end = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < end:
                if len(room.launches()) >= (6 if late else seen + 1):
                    break
                time.sleep(0.01)
            _break(room, during)
            room.finish(process)
        room.run("status")
        room.run("collect")
        _mend(room, before or during)
        return room.end()
    finally:
        _mount("-l", str(room.results), program="umount")


def _break(room: Room, how: str) -> None:
    if how == "ro":  # refused while a file is open for writing
        end = time.monotonic() + 30
        remount = ["mount", "-o", "remount,ro", str(room.results)]
        while subprocess.run(remount, capture_output=True, check=False).returncode != 0:
            room.expect(time.monotonic() < end, "the disk could not be made read-only")
            time.sleep(0.002)
        return
    try:
        if how == "inodes":
            for number in range(100_000):
                (room.results / f"filler-{number}").touch()
        with (room.results / "filler").open("wb") as filler:
            while True:
                filler.write(b"\0" * 4096)
                filler.flush()
    except OSError:
        pass


def _mend(room: Room, how: str) -> None:
    if how == "ro":
        _mount("-o", "remount,rw", str(room.results))
    for filler in room.results.glob("filler*"):
        filler.unlink()


def _mount(*arguments: str, program: str = "mount") -> None:
    subprocess.run([program, *arguments], check=True, capture_output=True)


def _temporary(folder: Path) -> Tally:
    """The folder of temporary files is full; the results' disk is not."""
    room = Room(folder, "full TMPDIR (tmpfs)")
    place = folder / "tmp"
    place.mkdir()
    _mount("-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place))
    try:
        with contextlib.suppress(OSError), (place / "filler").open("wb") as filler:
            filler.write(b"\0" * 65536)
        room.run(env=room.environment(TMPDIR=str(place)))
        return room.end()
    finally:
        _mount("-l", str(place), program="umount")


def _limited(folder: Path, size: int) -> Tally:
    room = Room(folder, f"files of at most {size} bytes (RLIMIT_FSIZE)", STUDY)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    room.run("run", "--set", "measure.launches=1")
    code = room.run(preexec_fn=limit)
    room.expect(code != 0 or size > 10_000, "the run ended well")
    return room.end()
