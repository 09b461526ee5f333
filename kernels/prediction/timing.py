"""The process that times kernels with the instruction set under which they are analysed.

Started as ``python -m kernels.prediction.timing task.json result.json``, with the variables of
`kernels.traffic.cachesim.simulate`.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from kernels.traffic.cachesim.simulate import Wanted, start

#: Repetitions of each kernel, and how long one lasts at least.
REPETITIONS, SECONDS = 9, 0.02


#: The clock is sampled so often before each kernel, over so many rounds.
SAMPLES, ROUNDS = 9, 20_000


def measured(wanted: Sequence[Wanted]) -> tuple[float, dict[Wanted, list[float]]]:
    """The clock in GHz, and seconds of a call of each kernel, one for each repetition.

    The clock is the median of samples between the kernels, as a kernel's time is the median of
    its repetitions: what slows the one slows the other.
    """
    with tempfile.TemporaryDirectory() as name:
        task, result = Path(name) / "task.json", Path(name) / "result.json"
        task.write_text(json.dumps([item.words for item in wanted]))
        start([sys.executable, "-m", "kernels.prediction.timing", str(task), str(result)])
        found = json.loads(result.read_text())
        return found["ghz"], dict(zip(wanted, found["seconds"], strict=True))


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
    result.write_text(json.dumps({"ghz": median(clocks), "seconds": found}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
