"""What this host did while a launch ran, from the counters of Linux (proc(5), getrusage(2)).

`look` before and after; what a system does not tell is None.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Look:
    """Counters at one moment.

    Attributes:
        at: monotonic seconds.
        busy: CPU seconds that all programs of the host have used.
        stolen: CPU seconds that the host of this virtual machine gave to others.
        own: CPU seconds of our children that have ended.
        switches: how often they were made to leave a CPU.
        stalled: seconds in which something waited for memory (Documentation/accounting/psi.rst).
        load: load average of the last minute.
        mhz: mean of the processors' clocks.
    """

    at: float
    busy: float | None
    stolen: float | None
    own: float
    switches: int
    stalled: float | None
    load: float | None
    mhz: float | None


def look() -> Look:
    """Read all counters; it takes less than a millisecond."""
    busy, stolen = _cpu_seconds()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    return Look(
        time.monotonic(), busy, stolen, children.ru_utime + children.ru_stime, children.ru_nivcsw,
        _stalled(), load, _clock(),
    )  # fmt: skip


def between(before: Look, after: Look, ours: bool) -> dict[str, float | int | None]:
    """What happened in between, by `harness.tables.columns.HOST_COLUMNS`.

    Args:
        before: a look before the launch.
        after: a look when its ranks had ended.
        ours: whether the ranks were our children; another's processes are not told from theirs.
    """
    elapsed = max(after.at - before.at, 1e-9)

    def difference(first: float | None, second: float | None) -> float | None:
        return None if first is None or second is None else max(0.0, second - first)

    busy = difference(before.busy, after.busy)
    stolen = difference(before.stolen, after.stolen)
    stalled = difference(before.stalled, after.stalled)
    others = busy - (after.own - before.own) if busy is not None and ours else None
    return {
        "host_other_cores": None if others is None else round(max(0.0, others) / elapsed, 3),
        "host_stolen_cores": None if stolen is None else round(stolen / elapsed, 3),
        "host_memory_stall": None if stalled is None else round(stalled / elapsed, 4),
        "host_load": before.load,
        "host_mhz": after.mhz,
        "involuntary_switches": after.switches - before.switches if ours else None,
    }


def _cpu_seconds() -> tuple[float | None, float | None]:
    try:
        fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq, stolen = map(int, fields[:8])
    except (OSError, ValueError):
        return None, None
    return (user + nice + system + irq + softirq) / _TICK, stolen / _TICK


def _stalled() -> float | None:
    try:
        words = (_PROC / "pressure" / "memory").read_text().split("\n", 1)[0].split()
        return int(words[-1].removeprefix("total=")) / 1e6
    except (OSError, ValueError, IndexError):
        return None


def _clock() -> float | None:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
        clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    except (OSError, ValueError, IndexError):
        return None
    return round(sum(clocks) / len(clocks), 1) if clocks else None
