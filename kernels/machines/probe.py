"""The compiled programs that measure a machine's roofs (``cpp/ceilings.cpp``)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

from sparring.errors import SparringError
from sparring.fused.building.build import build
from sparring.fused.machine import Isa

SOURCE = Path(__file__).parents[1] / "cpp" / "ceilings.cpp"

#: Numbers of the streams, as the source has them.
STREAMS = {"read": 0, "triad": 1, "triad_nontemporal": 2}
_NO_SUCH_STREAM = -4
_REASONS = {
    -1: "computed a wrong result",
    -2: "got fewer threads than it asked for",
    -3: "found no memory for its arrays",
    -5: "could not bind a thread to its CPU",
}
_LONG, _INT = ctypes.c_int64, ctypes.c_int
_CPUS = ctypes.POINTER(_INT)


class ProbeError(SparringError):
    """A roof could not be measured."""


class AbsentStreamError(ProbeError):
    """This processor has no such stores."""


class Probe:
    """Measurements on exactly as many threads as CPUs are named, a thread bound to each.

    Args:
        isa: instruction set to measure with, its widest vectors.

    Raises:
        BuildError: if it cannot be built.
        ProbeError: if it cannot be loaded.
    """

    def __init__(self, isa: Isa) -> None:
        path = build(SOURCE, {}, {"LANES": isa.lanes}, isa)
        try:
            self._lib = ctypes.CDLL(str(path))
        except OSError as error:
            raise ProbeError(f"{path}: cannot be loaded: {error}") from None
        for name, arguments in {
            "ceilings_fma": [_LONG, _INT, _CPUS],
            "ceilings_cycles": [_LONG, _CPUS],
            "ceilings_loops": [_LONG, _LONG, _CPUS],
            "ceilings_stream": [_INT, _LONG, _LONG, _INT, _CPUS],
        }.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = ctypes.c_double, arguments
        self._lib.ceilings_stream_bytes.restype = _LONG
        self._lib.ceilings_stream_bytes.argtypes = [_INT, _LONG]
        self._flops = 2 * int(self._lib.ceilings_fma_round())

    def fma(self, rounds: int, cpus: Sequence[int]) -> tuple[float, float]:
        """Seconds, and the floating-point operations done in them (a multiply-add is two).

        Args:
            rounds: at least 30, after which the result is known.
            cpus: one for each thread.

        Raises:
            ProbeError: if it fails.
        """
        seconds = self._lib.ceilings_fma(rounds, len(cpus), (_INT * len(cpus))(*cpus))
        _check("fma", seconds)
        return seconds, float(self._flops * rounds * len(cpus))

    def cycles(self, rounds: int, cpu: int) -> tuple[float, float]:
        """Seconds, and the cycles done in them, by integer products that wait for each other.

        Raises:
            ProbeError: if it fails.
        """
        seconds = self._lib.ceilings_cycles(rounds, (_INT * 1)(cpu))
        _check("cycles", seconds)
        return seconds, float(self._lib.ceilings_cycles_round() * rounds)

    def loops(self, entries: int, rounds: int, cpu: int) -> float:
        """Seconds of entering a loop of so many empty rounds, a cycle each, so often.

        Raises:
            ProbeError: if it fails.
        """
        seconds = float(self._lib.ceilings_loops(entries, rounds, (_INT * 1)(cpu)))
        _check("loops", seconds)
        return seconds

    def stream(self, kind: str, size: int, passes: int, cpus: Sequence[int]) -> tuple[float, float]:
        """Seconds, and the bytes moved in them.

        Bytes are McCalpin's: what the program reads and writes. That a cache first fetches the
        line that an ordinary store writes to (write-allocate) is not counted.

        Args:
            kind: one of `STREAMS`.
            size: bytes of each thread's arrays together.
            passes: over the arrays, at least 1.
            cpus: one for each thread.

        Raises:
            ProbeError: if it fails.
        """
        number = STREAMS[kind]
        moved = self._lib.ceilings_stream_bytes(number, size) * passes * len(cpus)
        seconds = self._lib.ceilings_stream(
            number, size, passes, len(cpus), (_INT * len(cpus))(*cpus)
        )
        if seconds == _NO_SUCH_STREAM:
            raise AbsentStreamError(f"this processor has no stores for {kind}")
        _check(kind, seconds)
        return seconds, float(moved)


def _check(kind: str, seconds: float) -> None:
    if seconds < 0:
        reason = _REASONS.get(int(seconds), f"failed with {seconds}")
        raise ProbeError(f"the measurement of {kind} {reason}")
