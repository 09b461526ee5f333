"""Operations and traffic of kernels from hardware counters, through ``likwid-perfctr``.

Counted is the difference of a run with 2 n calls and one with n, so that starting Python, loading
libraries and making inputs cancel. Each group of events has runs of its own. MEM counts a whole
socket's memory channels: nothing else should run there.

MEM is known to read double on some Broadwell-EP systems (github.com/RRZE-HPC/likwid, issue 531), so
a known volume is counted first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernels.traffic.likwid.events import GROUPS, LEVELS, amount
from kernels.traffic.likwid.output import parse
from kernels.traffic.likwid.tools import Tools
from kernels.traffic.traffic import Traffic
from sparring.errors import SparringError

_LIMIT_SECONDS = 600.0
#: A known volume that is counted as so many times as much is right; around 2 it counts double.
_RIGHT = (0.85, 1.2)
_DOUBLE = (1.7, 2.4)

#: The command line of a process that calls something so many times.
Child = Callable[[int], Sequence[str]]
#: Runs a command under counters of a group: what likwid-perfctr wrote.
Counter = Callable[[str, Sequence[str]], str]


@dataclass(frozen=True)
class Counted:
    """Of one call.

    Attributes:
        flops: executed; None if the processor has no such events.
        traffic: by level.
    """

    flops: float | None
    traffic: tuple[Traffic, ...]


def wrapper(perfctr: str, cpu: int) -> Counter:
    """A counter that runs its command on a CPU under likwid-perfctr.

    Args:
        perfctr: path of the tool.
        cpu: to which the command is bound.
    """

    def count(group: str, command: Sequence[str]) -> str:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "counts.csv"
            line = [perfctr, "-O", "-o", str(out), "-C", str(cpu), "-g", group, *command]
            try:
                done = subprocess.run(
                    line, capture_output=True, text=True, errors="replace",
                    timeout=_LIMIT_SECONDS, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise SparringError(
                    f"counting {group} took more than {_LIMIT_SECONDS:g} s"
                ) from None
            if done.returncode or not out.exists():
                last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
                raise SparringError(f"likwid-perfctr, group {group}, failed: {last[:300]}")
            return out.read_text(encoding="utf-8", errors="replace")

    return count


def kernel_child(kernel: str, variant: str, batch_size: int, input_size: int) -> Child:
    """The process that calls a kernel."""
    words = (kernel, variant, str(batch_size), str(input_size))
    return lambda calls: [sys.executable, "-m", "kernels.traffic.likwid.child", *words, str(calls)]


def difference(count: Counter, group: str, child: Child, calls: int) -> float | None:
    """What one call adds to a group's operations or bytes; None if the group counts none here.

    Raises:
        SparringError: if more calls were counted as less.
    """
    few, many = (_whole(count(group, child(number))) for number in (calls, 2 * calls))
    if few is None or many is None:
        return None
    if many < few:
        raise SparringError(
            f"group {group} counted less for {2 * calls} calls ({many:.4g}) than for {calls} "
            f"({few:.4g}): something else ran, or there are too few calls"
        )
    return (many - few) / calls


def _whole(text: str) -> float | None:
    found = [amount(counts) for counts in parse(text) if counts.region is None]
    known = [value for value in found if value is not None]
    return sum(known) if known else None


def volume_factor(
    count: Counter, child: Child, volume: float, calls: int, tell: Callable[[str], None]
) -> float:
    """By what bytes of MEM are to be multiplied: 1, or a half where they count double.

    Args:
        count: runs a command under counters.
        child: calls something that reads a known volume from main memory.
        volume: bytes of one call.
        calls: in the shorter run.
        tell: takes a sentence about what was found.

    Raises:
        SparringError: if the count is neither right nor double.
    """
    counted = difference(count, "MEM", child, calls)
    if counted is None:
        raise SparringError("MEM counts nothing on this processor: no bytes of main memory")
    ratio = counted / volume
    if _RIGHT[0] <= ratio <= _RIGHT[1]:
        tell(f"MEM counts {ratio:.3f} times a known volume: taken as it is")
        return 1.0
    if _DOUBLE[0] <= ratio <= _DOUBLE[1]:
        tell(f"MEM counts {ratio:.3f} times a known volume: it counts double here, and is halved")
        return 0.5
    raise SparringError(
        f"MEM counts {ratio:.3f} times a known volume; expected 1, or 2 as on some Broadwell-EP: "
        "its bytes are not used"
    )


def counted(count: Counter, child: Child, calls: int, mem_factor: float | None) -> Counted:
    """Operations and traffic of one call.

    Args:
        count: runs a command under counters.
        child: makes so many calls.
        calls: in the shorter run.
        mem_factor: see `volume_factor`; None leaves main memory out.
    """
    found = {
        group: difference(count, group, child, calls)
        for group in GROUPS
        if group != "MEM" or mem_factor is not None
    }
    traffic = tuple(
        Traffic(level, value * (mem_factor if group == "MEM" and mem_factor else 1.0), "likwid")
        for group, level in LEVELS.items()
        if (value := found.get(group)) is not None
    )
    return Counted(found.get("FLOPS_SP"), traffic)


class Session:
    """Counters that were checked against a known volume, ready to count kernels.

    Args:
        tools: what there is.
        cpu: to which processes are bound.
        tell: takes a sentence about the check.
        count: runs a command under counters; likwid-perfctr if None.

    Raises:
        NoCountersError: if counters cannot be read; its sentence says what happens instead.
        SparringError: if counting fails.
    """

    #: Bytes and calls of the check: far more than caches hold.
    VOLUME, CALLS = 2**29, 8

    def __init__(
        self, tools: Tools, cpu: int, tell: Callable[[str], None], count: Counter | None = None
    ) -> None:
        self._count = count or wrapper(tools.counting(), cpu)
        self._factor: float | None = None
        words = (sys.executable, "-m", "kernels.traffic.likwid.child", "read", str(self.VOLUME))
        try:
            self._factor = volume_factor(
                self._count, lambda calls: [*words, str(calls)], self.VOLUME, self.CALLS, tell
            )
        except SparringError as error:
            tell(f"main memory is left out: {error}")

    def kernel(
        self, kernel: str, variant: str, batch_size: int, input_size: int, calls: int
    ) -> Counted:
        """Operations and traffic of a call of a kernel.

        Args:
            kernel: its name.
            variant: of the kernel.
            batch_size: images.
            input_size: rows of an image.
            calls: in the shorter run; enough to stand out against a process's start.

        Raises:
            SparringError: if counting fails.
        """
        child = kernel_child(kernel, variant, batch_size, input_size)
        return counted(self._count, child, calls, self._factor)
