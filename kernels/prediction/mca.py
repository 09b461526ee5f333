"""A second analyser: llvm-mca, of LLVM (https://llvm.org/docs/CommandGuide/llvm-mca.html).

It simulates the scheduler over many rounds of a piece, with latencies and the widths of the front
end; everything hits the first cache. It also has instructions that OSACA's tables lack.

Its models chain every push, pop, call and return by the stack pointer. Processors do not: a stack
engine keeps it while they decode (Intel's Optimization Reference Manual, "Stack Pointer Tracker";
A. Fog, "The microarchitecture of Intel, AMD and VIA CPUs", "Stack engine"). So it is shown the
loads and stores that remain of them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from kernels.prediction.architecture import Architecture
from kernels.prediction.code import Piece

#: Rounds that are simulated: what the longer run takes more is theirs, without start and end.
SHORT, LONG = 20, 80
_LOADS, _STORES = frozenset({"2", "3"}), frozenset({"4", "7", "8", "9"})
_PORT = re.compile(r"Port(\d+)$")
_FAULT = re.compile(r"^[^:]*:(\d+):\d+: error", re.MULTILINE)
_TRIES = 8
#: Cycles that LLVM's models say of what is microcoded, whatever it does: they do not know.
_MICROCODED = 100


#: What the stack engine leaves of instructions, in AT&T's syntax.
_STACK = (
    (re.compile(r"^push[qlw]? (%\w+)$"), r"movq \1, -8(%rsp)"),
    (re.compile(r"^push[qlw]? (\$\S+)$"), r"movq \1, -8(%rsp)"),
    (re.compile(r"^pop[qlw]? (%\w+)$"), r"movq (%rsp), \1"),
    (re.compile(r"^(repz |bnd )?ret[qlw]?\b.*$"), "jmpq *(%rsp)"),
    (re.compile(r"^(bnd )?call[qlw]? (?!\*).*$"), "movq %rax, -8(%rsp)"),
)


def _engine(line: str) -> str:
    """An instruction without its step of the stack pointer."""
    for pattern, left in _STACK:
        if pattern.match(line):
            return pattern.sub(left, line)
    return line


def available() -> bool:
    """Whether it is installed."""
    return shutil.which("llvm-mca") is not None


def _run(
    regions: Sequence[Sequence[str]], architecture: Architecture, rounds: int = SHORT
) -> list[dict[str, Any]]:
    """What it says of regions; lines that it cannot read are left out."""
    lines: list[str] = []
    for number, region in enumerate(regions):
        lines += [f"# LLVM-MCA-BEGIN {number}", *map(_engine, region), "# LLVM-MCA-END"]
    for _ in range(_TRIES):
        done = subprocess.run(
            ["llvm-mca", f"-mcpu={architecture.llvm}", "-json", f"-iterations={rounds}",
             "-mtriple=x86_64-unknown-linux-gnu", "-"],
            input="\n".join(lines) + "\n", capture_output=True, text=True, check=False,
        )  # fmt: skip
        faults = {int(number) for number in _FAULT.findall(done.stderr)}
        if not faults:
            break
        for number in faults:
            lines[number - 1] = "nop"
    try:
        return list(json.loads(done.stdout)["CodeRegions"])
    except (ValueError, KeyError):
        return []


def cycles(pieces: Sequence[Piece], architecture: Architecture) -> dict[int, float]:
    """Cycles of a round of each piece that it can analyse, by the piece's place in the list.

    It has no opinion of a piece with microcode, for which its models have a constant, nor of one
    with a string instruction, which Valgrind counts a round at a time.
    """
    if not available() or not pieces:
        return {}
    lines = [("nop",) if _repeats(piece) else piece.lines for piece in pieces]
    start = {
        region["Name"]: region["SummaryView"]["TotalCycles"]
        for region in _run(lines, architecture, SHORT)
    }
    return {
        int(name): (region["SummaryView"]["TotalCycles"] - start[name]) / (LONG - SHORT)
        for region in _run(lines, architecture, LONG)
        if (name := region["Name"]) in start
        and not _repeats(pieces[int(name)])
        and all(one["Latency"] < _MICROCODED
               for one in region["InstructionInfoView"]["InstructionList"])
    }  # fmt: skip


def _repeats(piece: Piece) -> bool:
    return any(line.startswith("rep ") for line in piece.lines)


def operations(
    form: str, architecture: Architecture
) -> tuple[tuple[float, frozenset[str]], ...] | None:
    """Micro-operations of an instruction, as OSACA has them; None if it lacks it, too.

    Only of Intel's cores, whose ports both name alike.
    """
    if architecture.overlaps or not available():
        return None
    found = _run([[form]], architecture)
    if not found or found[0]["Instructions"] == ["nop"]:
        return None
    info = found[0]["InstructionInfoView"]["InstructionList"][0]
    # Its target's names stand once beside all regions.
    names = _resources(architecture)
    used: dict[str, float] = {}
    for one in found[0]["ResourcePressureView"]["ResourcePressureInfo"]:
        port = _PORT.search(names[one["ResourceIndex"]])
        if one["InstructionIndex"] == 0 and port:
            used[port[1]] = used.get(port[1], 0.0) + one["ResourceUsage"]
    computing = {port: n for port, n in used.items() if port not in _LOADS | _STORES}
    made = []
    if total := round(sum(computing.values())):
        # A scheduler that balances names all ports that can take it; one that does not, some.
        ports = frozenset(computing) if len(computing) > 1 or total > 1 else frozenset("0156")
        made.append((float(total), ports))
    if info["mayLoad"]:
        made.append((1.0, architecture.data_ports))
    if info["mayStore"]:
        made.append((1.0, frozenset({"4", "9"} if architecture.osaca == "spr" else {"4"})))
    return tuple(made)


_names: dict[str, list[str]] = {}


def _resources(architecture: Architecture) -> list[str]:
    if architecture.llvm not in _names:
        done = subprocess.run(
            ["llvm-mca", f"-mcpu={architecture.llvm}", "-json", "-iterations=1",
             "-mtriple=x86_64-unknown-linux-gnu", "-"],
            input="nop\n", capture_output=True, text=True, check=True,
        )  # fmt: skip
        _names[architecture.llvm] = json.loads(done.stdout)["TargetInfo"]["Resources"]
    return _names[architecture.llvm]
