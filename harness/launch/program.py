"""A launch of a command line: run it, time it, and read its metrics from what it prints.

Started by the runner as ``python -m harness.launch.program SPEC`` in the place of ranks that import
a workload; nobody types it. It leaves the same file of repetitions.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from harness import current_folder

    current_folder.leave()

import json
import os
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from harness.files import append_line
from harness.launch.returned import check_throughput, checked_metrics
from harness.launch.sharing import meeting_of
from harness.launch.timing import Pace, now
from harness.study.command import metrics_in
from harness.tables.columns import plausible

#: Of an output without end so much of its end is read.
_MOST_BYTES = 16 * 2**20


def main(spec_path: str) -> None:
    """Run all repetitions; the first that fails ends the launch with a sentence."""
    spec = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    output = Path(spec["output"])
    try:
        pace = Pace(spec["warmups"], spec["max_warmups"], spec["repetitions"])
        meeting = meeting_of(spec["meeting"])
        while not pace.done:
            if meeting:
                meeting.wait()
            number, started_at = pace.taken, now()
            seconds, printed = _run(spec["command"], spec["folder"])
            metrics = metrics_in(printed, spec["metrics"])
            if "seconds" in metrics:
                seconds = _seconds(metrics.pop("seconds"))
            check_throughput(metrics, spec["throughput"])
            finished = {
                "repetition": number,
                "warmup": pace.took(seconds),
                "seconds": seconds,
                "started_at": started_at,
                "metrics": checked_metrics("the command", metrics, spec["parameters"]),
                "shares_cores": False,
                "ranks": [],
                "details": None,
            }  # fmt: skip
            append_line(output, json.dumps(finished))
    except (OSError, ValueError) as error:
        output.with_name(f"{output.name}.rank0.error").write_text(
            " ".join(str(error).split()), encoding="utf-8", errors="backslashreplace"
        )
        sys.exit(1)


def _run(command: list[str], folder: str) -> tuple[float, str]:
    """Seconds from start to end, and what was printed; standard error goes to the log."""
    with tempfile.TemporaryFile() as printed:
        began = perf_counter()
        code = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=printed, check=False
        ).returncode
        seconds = perf_counter() - began
        size = printed.seek(0, os.SEEK_END)
        printed.seek(max(0, size - _MOST_BYTES))
        text = printed.read().decode("utf-8", "replace")
    sys.stdout.write(text)
    sys.stdout.flush()
    if code:
        words = text.split("\n")
        last = next((line.strip() for line in reversed(words) if line.strip()), "no output")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ValueError(f"the command ended with {how}: {last[-300:]}")
    return seconds, text


def _seconds(value: Any) -> float:
    if not plausible(value):
        raise ValueError(f"'seconds': the output says {value!r}; expected a number above 0")
    return float(value)


if __name__ == "__main__":
    main(sys.argv[1])
