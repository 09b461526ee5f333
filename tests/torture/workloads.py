"""Workloads that lie, crash, hang, fork, print without end or return nonsense."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture.room import WORKLOAD, Room, Tally

_DAEMON = """
        if os.fork() == 0:
            os.setsid()
            if os.fork() > 0:
                os._exit(0)
            for number in range(256):
                try: os.close(number)
                except OSError: pass
            sleeping = [sys.executable, "-c", "import time; time.sleep(600)", here + "/daemon"]
            os.execve(sys.executable, sleeping, {})
"""

#: What `run` does, and whether its launches end well.
RUNS: dict[str, tuple[str, bool]] = {
    "raises": ("raise ValueError('no\\n\\udc80 [/red]')", False),
    "raises what cannot be told": (
        "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})()", False),
    "exits with 0": ("os._exit(0)", False),
    "one rank exits with 0": ("self.comm.rank == 0 and os._exit(0)", False),
    "sys.exit": ("sys.exit(0)", False),
    "crashes": ("import ctypes; ctypes.string_at(0)", False),
    "kills itself": ("os.kill(os.getpid(), 9)", False),
    "kills its group": ("os.killpg(0, 9)", False),
    "stops itself": ("os.kill(os.getpid(), 19)", False),
    "hangs": ("time.sleep(600)", False),
    "hangs, deaf to SIGTERM": (
        "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(600)", False),
    "forks": ("os.fork() == 0 and time.sleep(600)", False),
    "leaves a daemon": (_DAEMON, True),
    "leaves a daemon and hangs": (_DAEMON + "\n        time.sleep(600)", False),
    "prints without end": ("for _ in range(10**5): print('x' * 100)", True),
    "reads its input": ("sys.stdin.read()", True),
    "returns a list": ("return [1]", False),
    "returns an object": ("return {'a': object()}", False),
    "returns nan": ("return {'a': float('nan'), 'b': float('inf')}", True),
    "returns a column's name": ("return {'seconds': 1.0}", False),
    "stops the clock": ("time.perf_counter = lambda: 0.0; time.monotonic = lambda: 0.0", True),
    "changes the folder": ("os.chdir('/')", True),
    "closes everything": ("os.closerange(0, 3)", True),
    "removes its environment": ("os.environ.clear()", True),
}  # fmt: skip

STUDY = """
name = "work"
workload = "work:Work"
[sweep.product]
processes = [1, 2]
[measure]
launches = 1
repetitions = 1
warmups = 0
time_limit_seconds = 6
"""

#: What stands in the class besides, and the exit code of a run.
CLASSES: dict[str, tuple[str, int]] = {
    "details() lie": ("def details(self): return [1]", 1),
    "details() are a text": ("def details(self): return 'a'", 1),
    "rank_report() lies": ("def rank_report(self): return {'point': 1}", 1),
    "observe() lies": ("def observe(self, seconds): return 3", 1),
    "check() hangs": ("@staticmethod\n    def check(p): time.sleep(600)", 2),
    "check() ends the program": ("@staticmethod\n    def check(p): sys.exit(0)", 2),
    "check() refuses": ("@staticmethod\n    def check(p): raise ValueError('no')", 2),
    "teardown raises": ("def teardown(self): raise ValueError('no')", 1),
    "its import fails": ("1 / 0", 2),
}


def workloads(folder: Path) -> Iterator[Tally]:
    """One study for each; those that fail stand in the table with a reason."""
    for number, (name, (body, well)) in enumerate(RUNS.items()):
        place = folder / f"workload-{number}"
        lines = f"        here = {str(place)!r}\n        {body.strip()}\n"
        text = WORKLOAD.replace("        self.comm.allreduce(1)\n", lines)
        yield _one(place, f"workload: {name}", text, 0 if well else 1)
    yield _killed(folder / "killed")
    for number, (name, (body, code)) in enumerate(CLASSES.items()):
        text = WORKLOAD if "def teardown" not in body else WORKLOAD.rpartition("    def ")[0]
        yield _one(folder / f"class-{number}", f"workload: {name}", f"{text}\n    {body}\n", code)


def _killed(place: Path) -> Tally:
    """The runner is killed while a daemon sleeps; the next run ends what is left of it."""
    lines = f"        here = {str(place)!r}\n        {_DAEMON.strip()}\n        time.sleep(600)\n"
    text = WORKLOAD.replace("        self.comm.allreduce(1)\n", lines)
    room = Room(place, "workload: leaves a daemon, runner killed", STUDY, text)
    process = room.start(room.command())
    end = time.monotonic() + 30
    while not any(room.results.glob("launches/*/.running/*/*/adopted:*")):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    process.kill()
    room.finish(process)
    room.expect(bool(room.processes("/daemon")), "there was no daemon to be ended")
    (place / "work.py").write_text(WORKLOAD, encoding="utf-8")
    return room.end()


def _one(place: Path, case: str, text: str, code: int) -> Tally:
    room = Room(place, case, STUDY, text)
    found = room.run()
    room.expect(found == code, f"the run ended with {found} and not {code}")
    room.run("status")
    return room.end(expected=None)
