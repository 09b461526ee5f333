"""The roofs as ``likwid-bench`` measures them, to compare with our own.

Its kernels are assembly. Bytes are its own count, which leaves write-allocate out as ours does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernels.table import Row
from kernels.traffic.likwid.tools import Run, said
from sparring.errors import SparringError

#: Our kind of roof, and the test that measures the same, by instruction set.
TESTS = {
    "fma": {"avx2": "peakflops_sp_avx_fma", "avx512": "peakflops_sp_avx512_fma"},
    "read": {"avx2": "load_avx", "avx512": "load_avx512"},
    "triad": {"avx2": "stream_sp_avx_fma", "avx512": "stream_sp_avx512_fma"},
    "triad_nontemporal": {"avx2": "stream_sp_mem_avx_fma", "avx512": "stream_sp_mem_avx512_fma"},
}
#: The best of so many is compared with the best of ours. A run takes seconds, whatever it measures.
ROUNDS = 2
_FAILED = -1.0
#: Registers only: the test goes through a few lines that stay in L1.
_FMA_KIB = 16
_NUMBER = {
    "gflops": re.compile(r"^MFlops/s:\s*([\d.eE+-]+)", re.MULTILINE),
    "gbytes_per_second": re.compile(r"^MByte/s:\s*([\d.eE+-]+)", re.MULTILINE),
}


@dataclass(frozen=True)
class Comparison:
    """One roof, measured twice.

    Attributes:
        threads, level, kind: which.
        column: "gflops" or "gbytes_per_second".
        ours: the best sample.
        theirs: the best of likwid-bench's; None if it has no such test, or failed.
        test: its name there.
    """

    threads: int
    level: str
    kind: str
    column: str
    ours: float
    theirs: float | None
    test: str


def compare(
    rows: Sequence[Row], isa: str, bench: str, tell: Callable[[str], None], run: Run = said
) -> list[Comparison]:
    """Measure the roofs of a table again, by likwid-bench.

    Args:
        rows: of ``ceilings.csv``, of one machine.
        isa: which instruction set they were measured with.
        bench: path of likwid-bench.
        tell: takes a line about what failed.
        run: runs a command.
    """
    best: dict[tuple[int, str, str, int], float] = {}
    for row in rows:
        rate = row["gflops"] if row["level"] == "FMA" else row["gbytes_per_second"]
        if row["kind"] in TESTS and isinstance(rate, float):
            size = row["working_set_bytes"]
            kib = size // 1024 if isinstance(size, int) else _FMA_KIB
            threads = row["threads"]
            assert isinstance(threads, int)
            key = (threads, str(row["level"]), str(row["kind"]), kib)
            best[key] = max(rate, best.get(key, rate))
    theirs: dict[tuple[int, str, str, int], float] = {}
    for number in range(ROUNDS):
        tell(f"likwid-bench, round {number + 1} of {ROUNDS}")
        for key in sorted(best, key=_order):
            threads, level, kind, kib = key
            test = TESTS[kind].get(isa)
            if test is None or theirs.get(key) == _FAILED:
                continue
            try:
                rate = measure(bench, test, kib, threads, _column(level), run)
                theirs[key] = max(rate, theirs.get(key, rate))
            except SparringError as error:
                theirs[key] = _FAILED
                tell(str(error))
    return [
        Comparison(
            key[0], key[1], key[2], _column(key[1]), best[key],
            None if theirs.get(key, _FAILED) == _FAILED else theirs[key],
            TESTS[key[2]].get(isa, ""),
        )
        for key in sorted(best, key=_order)
    ]  # fmt: skip


def _column(level: str) -> str:
    return "gflops" if level == "FMA" else "gbytes_per_second"


def _order(key: tuple[int, str, str, int]) -> tuple[int, int, str]:
    return key[0], ("FMA", "L1", "L2", "L3", "L4", "DRAM").index(key[1]), key[2]


def measure(bench: str, test: str, kib: int, threads: int, column: str, run: Run = said) -> float:
    """A roof in 10^9 operations or bytes a second.

    Raises:
        SparringError: if likwid-bench fails or says nothing of it.
    """
    code, text = run([bench, "-t", test, "-w", f"S0:{kib}kB:{threads}"])
    match = _NUMBER[column].search(text)
    if code or match is None:
        last = (text.strip().splitlines() or ["nothing was said"])[-1]
        raise SparringError(f"likwid-bench -t {test}, {threads} threads: {last[:200]}")
    return float(match[1]) / 1e3
