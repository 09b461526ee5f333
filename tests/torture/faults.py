"""Faults injected by count, as SQLite's tests do (https://www.sqlite.org/testing.html, section 3).

The first, second, ... n-th write, rename, fsync and allocation of a run fails in turn, until a run
passes untouched. By a library that is loaded before all others (``fault.c``): it meets what Python
and its packages call, and the harness has no hook that only tests use. Allocations count from
65,536 bytes: a run has tens of thousands of smaller ones.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.torture.room import Room, Tally

CALLS = ("write", "rename", "fsync", "malloc")
#: More faults than a run of the study has calls of any kind, or allocations that are tried.
_MOST = 2000
_STUDY = """
name = "work"
workload = "work:Work"
[measure]
launches = 2
repetitions = 1
warmups = 0
time_limit_seconds = 30
"""


def faults(folder: Path, step: int) -> Iterator[Tally]:
    """Every ``step``-th call of each kind fails in a run of its own."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        tally = Tally("faults by count")
        tally.lost = 1
        tally.told.append("no C compiler was found; expected one")
        yield tally
        return
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library, source,
                    "-ldl"], check=True)  # fmt: skip
    for call in CALLS:
        yield _each(
            folder / f"fault-{call}", call, library, 20 * step if call == "malloc" else step
        )


def _each(folder: Path, call: str, library: Path, step: int) -> Tally:
    room = Room(folder, f"each {step if step > 1 else ''}{'th ' if step > 1 else ''}{call} fails",
                _STUDY)  # fmt: skip
    mark = folder / "happened"
    number = 1
    while number < _MOST:
        mark.unlink(missing_ok=True)
        # As many launches more as are tried: each run has something to do.
        aim = f"measure.launches={len(room.launches()) + 2}"
        injected = room.environment(
            LD_PRELOAD=str(library), FAULT_CALL=call, FAULT_NUMBER=str(number),
            FAULT_ROOT=str(room.results.resolve()), FAULT_MARK=str(mark),
        )  # fmt: skip
        code = room.run("run", "--retry", "--set", aim, env=injected)
        if not mark.exists():
            room.expect(code == 0, f"an untouched run ended with {code}")
            break
        if number % (5 * step) == 1:
            code = room.run("run", "--retry", "--set", aim)
            room.expect(code == 0, f"the run after the fault {number} ended with {code}")
        number += step
    room.expect(number < _MOST, "no run passed untouched")
    return room.end()
