"""The process that times kernels with the instruction set under which they are analysed.

Started as ``python -m kernels.prediction.timing task.json result.json``, with the variables of
`kernels.traffic.cachesim.simulate`.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from kernels.prediction.code import FOLLOWED
from kernels.traffic.cachesim.simulate import Wanted, start

#: Processes, repetitions of each kernel in each of them, and how long one lasts at least. Where a
#: process's pages happen to lie decides how well a cache that is indexed by their addresses holds
#: them: the same ReLU takes 13.5 us in one process and 20 in the next.
LAUNCHES, REPETITIONS, SECONDS = 5, 5, 0.02
#: Simulated caches are indexed by a program's own addresses; of huge pages, so are the processor's
#: (glibc's manual, "Memory Allocation Tunables").
_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


#: Rounds of loops whose ends are measured, and how often each is entered.
LOOPS, ENTRIES = (8, 16, 32, 34, 48), 20_000
#: The clock is sampled so often before each kernel, over so many rounds.
SAMPLES, ROUNDS = 9, 20_000


@dataclass(frozen=True)
class Measured:
    """What was measured here.

    Attributes:
        ghz: the clock.
        seconds: of a call of each kernel, one for each repetition.
        ends: by the rounds of a loop, cycles that its end costs.
    """

    ghz: float
    seconds: Mapping[Wanted, list[float]]
    ends: Mapping[int, float]

    @property
    def said(self) -> str:
        """What ends of loops cost, in words."""
        costs = ", ".join(f"{rounds}: {cost:.0f}" for rounds, cost in self.ends.items())
        return (
            f"cycles that the end of a loop of so many rounds costs here: {costs} (the model takes "
            f"up to {FOLLOWED} to be predicted)"
        )


def measured(wanted: Sequence[Wanted]) -> Measured:
    """The clock, the kernels' seconds, and what ends of loops cost.

    The clock is the median of samples between the kernels, as a kernel's time is the median of
    its repetitions: what slows the one slows the other. All of them are of several processes.
    """
    runs = [_launch(wanted) for _ in range(LAUNCHES)]
    seconds = {
        item: [one for run in runs for one in run["seconds"][number]]
        for number, item in enumerate(wanted)
    }
    ends = [min(run["ends"][number] for run in runs) for number in range(len(LOOPS))]
    return Measured(
        median(run["ghz"] for run in runs), seconds, dict(zip(LOOPS, ends, strict=True))
    )


def _launch(wanted: Sequence[Wanted]) -> dict[str, Any]:
    """What one process measured."""
    with tempfile.TemporaryDirectory() as name:
        task, result = Path(name) / "task.json", Path(name) / "result.json"
        task.write_text(json.dumps([item.words for item in wanted]))
        line = [sys.executable, "-m", "kernels.prediction.timing", str(task), str(result)]
        start(line, _PAGES)
        found: dict[str, Any] = json.loads(result.read_text())
        return found


def main(items: Sequence[tuple[str, str, int, int]], result: Path) -> None:
    """Time each item and write its seconds, and the clock."""
    from kernels.declarations.kernel import Case
    from kernels.declarations.registry import KERNELS
    from kernels.machines.caches import cores
    from kernels.machines.probe import Probe
    from kernels.samples import time_variants
    from sparring.fused.machine import machine_isa

    order, found = random.Random(0), []
    probe, cpu, clocks = Probe(machine_isa()), cores()[0], list[float]()
    for name, variant, batch, size in items:
        (timed,) = time_variants(
            KERNELS[name], [variant], Case(batch, size), 1,
            repetitions=REPETITIONS, seconds=SECONDS, order=order,
        )  # fmt: skip
        found.append(timed.seconds)
        for _ in range(SAMPLES):
            seconds, cycles = probe.cycles(ROUNDS, cpu)
            clocks.append(cycles / seconds / 1e9)
    ghz = median(clocks)
    ends = [
        min(probe.loops(ENTRIES, rounds, cpu) for _ in range(SAMPLES)) / ENTRIES * ghz * 1e9
        - rounds
        for rounds in LOOPS
    ]
    result.write_text(json.dumps({"ghz": ghz, "seconds": found, "ends": ends}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
