"""Callgrind: its command, its client requests, and the counts that it writes."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from kernels.traffic.cachesim.passes import Pass
from sparring.errors import SparringError
from sparring.fused.building.build import build
from sparring.fused.machine import machine_isa

SOURCE = Path(__file__).parents[2] / "cpp" / "callgrind_control.cpp"

#: Lines that the last level fetched for data, and dirty ones that it gave up for any access.
FILLS = ("DLmr", "DLmw")
WRITE_BACKS = ("ILdmr", "DLdmr", "DLdmw")


class NoValgrindError(SparringError):
    """Nothing can be simulated here."""


@lru_cache(maxsize=1)
def version() -> str:
    """Valgrind's version.

    Raises:
        NoValgrindError: if it is not installed.
    """
    if shutil.which("valgrind") is None:
        raise NoValgrindError("Valgrind is not installed, and no caches can be simulated")
    result = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoValgrindError(f"Valgrind does not start: {result.stderr.strip()[:200]}")
    return result.stdout.strip()


def command(one: Pass, output: Path) -> list[str]:
    """What goes before a program, to count nothing until it asks for it."""
    return [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--cache-sim=yes",
        "--simulate-wb=yes", f"--I1={32 * 1024},8,{one.first.line}", f"--D1={one.first}",
        f"--LL={one.last}", f"--callgrind-out-file={output}", "--quiet",
    ]  # fmt: skip


def control_library() -> Path:
    """The client requests as a library.

    Raises:
        NoValgrindError: if it cannot be built, for want of Valgrind's headers, say.
    """
    try:
        return build(SOURCE, {}, {}, machine_isa())
    except SparringError as error:
        raise NoValgrindError(
            f"Valgrind's client requests cannot be compiled (are its headers installed?): {error}"
        ) from None


class Control:
    """Client requests of this process.

    Args:
        path: see `control_library`.
    """

    def __init__(self, path: Path) -> None:
        self._lib = ctypes.CDLL(str(path))
        self.begin, self.zero, self.end = (
            getattr(self._lib, f"control_{name}") for name in ("begin", "zero", "end")
        )

    @property
    def simulated(self) -> bool:
        """Whether this process runs under Valgrind."""
        return bool(self._lib.control_simulated())

    def dump(self, name: str) -> None:
        """Write what was counted since `zero`, under a name."""
        self._lib.control_dump(name.encode())


def counts(folder: Path) -> dict[str, dict[str, int]]:
    """By the name of each dump in a folder, by the event's name, how often it was.

    Raises:
        SparringError: if a file is none of Callgrind's.
    """
    found = {}
    for path in folder.iterdir():
        text = path.read_text(errors="replace")
        fields = dict(re.findall(r"^(desc: Trigger|events|totals): +(.*)$", text, re.MULTILINE))
        trigger = fields.get("desc: Trigger", "")
        if not trigger.startswith("Client Request: "):
            continue  # of the end of the program
        try:
            events, numbers = fields["events"].split(), list(map(int, fields["totals"].split()))
            numbers += [0] * (len(events) - len(numbers))  # zeros at the end are left out
            found[trigger.removeprefix("Client Request: ")] = dict(
                zip(events, numbers, strict=True)
            )
        except (KeyError, ValueError):
            raise SparringError(f"{path}: is no output of Callgrind's") from None
    return found
