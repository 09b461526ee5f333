"""Environments that commands are started in: bare, closed, shadowed, starved."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from tests.torture.room import Room, Tally

_ODD = "a b'c\"d;$x\n[e] \xe9\u4e2d"


def environments(folder: Path) -> Iterator[Tally]:
    """One study for each."""
    plain = {
        "no HOME": {"HOME": None},
        "HOME that is nowhere": {"HOME": "/nowhere"},
        "no PATH": {"PATH": None},
        "C locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        "PYTHONOPTIMIZE": {"PYTHONOPTIMIZE": "2"},
        "PYTHONWARNINGS": {"PYTHONWARNINGS": "error::DeprecationWarning"},
        "TERM and COLUMNS": {"TERM": "nonsense", "COLUMNS": "1", "LINES": "x"},
        "TMPDIR that is nowhere": {"TMPDIR": "/nowhere"},
        "inside another run": {"HARNESS_LAUNCH": "x", "HARNESS_BINDING": "0", "PMI_RANK": "1"},
    }
    for number, (name, changes) in enumerate(plain.items()):
        room = Room(folder / f"environment-{number}", name)
        kept = {k: v for k, v in {**room.environment(), **changes}.items() if v is not None}
        yield _ends_well(room, env=kept)
    for name, numbers in (("closed stdin", [0]), ("closed stdout", [1]), ("closed stderr", [2]),
                          ("closed stdin, stdout, stderr", [0, 1, 2])):  # fmt: skip
        yield _closed(Room(folder / name.replace(" ", "-"), name), numbers)
    yield _shadowed(folder)
    room = Room(folder / _ODD, "odd path")
    yield _ends_well(room)
    room = Room(folder / "one-core", "one core")
    one = min(os.sched_getaffinity(0))
    code = room.run("run", "--oversubscribe", preexec_fn=lambda: os.sched_setaffinity(0, {one}))
    room.expect(code == 0, f"the run ended with {code}")
    yield room.end()
    for number in (8, 12, 16, 24, 32, 64):
        room = Room(folder / f"descriptors-{number}", f"{number} descriptors")
        room.run(preexec_fn=_limit(number))
        room.run("run", "--retry")  # MPICH starts no ranks with a dozen: those launches failed
        yield room.end()


def _limit(number: int) -> object:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def _ends_well(room: Room, **options: object) -> Tally:
    code = room.run(**options)
    room.expect(code == 0, f"the run ended with {code}")
    room.run("status", **options)
    return room.end()


def _closed(room: Room, numbers: list[int]) -> Tally:
    closing = " ".join(f"{number}>&-" for number in numbers)
    process = room.start(["sh", "-c", f'exec "$@" {closing}', "sh", *room.command()])
    code = room.finish(process)
    room.expect(code == 0, f"the run ended with {code}")
    return room.end()


def _shadowed(folder: Path) -> Tally:
    """Files named like modules of Python's own, where a user stands."""
    room = Room(folder / "shadowed", "shadowed modules")
    elsewhere = room.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("csv", "json", "signal", "socket", "random", "click", "tempfile", "types", "enum"):
        (elsewhere / f"{name}.py").write_text("raise RuntimeError('not the real one')\n")
    room.run(cwd=elsewhere)  # the workload's own imports may be refused, in a sentence
    return room.end()
