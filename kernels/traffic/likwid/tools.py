"""What of LIKWID there is here, asked in processes of their own: its library may abort its caller.

Source: J. Treibig, G. Hager, G. Wellein, "LIKWID: A Lightweight Performance-Oriented Tool Suite for
x86 Multicore Environments", ICPPW 2010.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparring.errors import SparringError

TOOLS = ("likwid-topology", "likwid-bench", "likwid-perfctr")
#: likwid-perfctr waits ten seconds for its daemon before it gives up.
_LIMIT_SECONDS = 60.0
_INSTEAD = "bytes are simulated (cachesim) or compulsory instead"
_ERROR = re.compile(r"ERROR - \[[^\]]*\]\s*(.*)")

#: Runs a command line: exit code and everything that was said.
Run = Callable[[Sequence[str]], tuple[int, str]]


class NoCountersError(SparringError):
    """Counters cannot be read here; says what happens instead."""


@dataclass(frozen=True)
class Tools:
    """What there is.

    Attributes:
        paths: of the tools that are installed.
        refusal: why counters cannot be read, in one sentence; None if they can.
        pylikwid: whether the Python binding works; nothing depends on it.
    """

    paths: dict[str, str]
    refusal: str | None
    pylikwid: bool

    def counting(self) -> str:
        """The path of likwid-perfctr.

        Raises:
            NoCountersError: if counters cannot be read.
        """
        if self.refusal is not None:
            raise NoCountersError(self.refusal)
        return self.paths["likwid-perfctr"]


def said(command: Sequence[str]) -> tuple[int, str]:
    """Run a command: its exit code, and what it said; 124 if it took too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_LIMIT_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"took more than {_LIMIT_SECONDS:g} s"
    except OSError as error:
        return 127, str(error.strerror)
    return done.returncode, done.stdout + done.stderr


def probe(
    cpu: int = 0, run: Run = said, which: Callable[[str], str | None] = shutil.which
) -> Tools:
    """Find out what of LIKWID works.

    Args:
        cpu: on which counters are tried.
        run: runs a command.
        which: finds a tool.
    """
    paths = {tool: path for tool in TOOLS if (path := which(tool)) is not None}
    code, text = run([sys.executable, "-c", "import pylikwid; print(pylikwid.getcpuclock())"])
    return Tools(paths, _refusal(paths, cpu, run), code == 0 and text.strip().isdecimal())


def _refusal(paths: dict[str, str], cpu: int, run: Run) -> str | None:
    tool = paths.get("likwid-perfctr")
    if tool is None:
        return f"no hardware counters: likwid-perfctr is not installed; {_INSTEAD}"
    _, known = run([tool, "-i"])
    if re.search(r"CPU type:\s*(nil|Unknown)", known):
        return f"no hardware counters: LIKWID does not know this processor's; {_INSTEAD}"
    code, text = run([tool, "-O", "-C", str(cpu), "-g", "FLOPS_SP", "true"])
    if code == 0 and "TABLE,Group 1 Raw" in text:
        return None
    reason = next(iter(_ERROR.findall(text)), "") or f"likwid-perfctr ended with {code}"
    return f"no hardware counters: {reason.strip().rstrip('.')}; {_INSTEAD}"
