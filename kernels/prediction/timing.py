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

from kernels.traffic.cachesim.simulate import Wanted, start

#: Repetitions of each kernel, and how long one lasts at least.
REPETITIONS, SECONDS = 9, 0.02


def measured(wanted: Sequence[Wanted]) -> dict[Wanted, list[float]]:
    """Seconds of a call of each kernel, one for each repetition; none of what cannot run."""
    with tempfile.TemporaryDirectory() as name:
        task, result = Path(name) / "task.json", Path(name) / "result.json"
        task.write_text(json.dumps([item.words for item in wanted]))
        start([sys.executable, "-m", "kernels.prediction.timing", str(task), str(result)])
        return dict(zip(wanted, json.loads(result.read_text()), strict=True))


def main(items: Sequence[tuple[str, str, int, int]], result: Path) -> None:
    """Time each item and write its seconds."""
    from kernels.declarations.kernel import Case
    from kernels.declarations.registry import KERNELS
    from kernels.samples import time_variants

    order, found = random.Random(0), []
    for name, variant, batch, size in items:
        (timed,) = time_variants(
            KERNELS[name], [variant], Case(batch, size), 1,
            repetitions=REPETITIONS, seconds=SECONDS, order=order,
        )  # fmt: skip
        found.append(timed.seconds)
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
