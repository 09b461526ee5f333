"""What simulating needs and costs much under Valgrind.

Started as ``python -m kernels.traffic.cachesim.prepare``.

References in float64 and counts of FLOPs, computed outside it, once for all caches, on the same
instruction set.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from kernels.declarations.kernel import Case
from kernels.declarations.registry import KERNELS
from kernels.samples import checked, inputs, reference

#: Of an item: what its results should be, FLOPs, and why it cannot run, if it cannot.
Ready = tuple[list[Tensor], float, str]


def main(items: Sequence[tuple[str, str, int, int]], result: Path) -> None:
    """Check each item and write its `Ready`.

    Args:
        items: kernel, variant, batch size, input size.
        result: where to write.
    """
    torch.set_num_threads(1)
    found: list[Ready] = []
    for name, variant, batch, size in items:
        kernel, case = KERNELS[name], Case(batch, size)
        given = inputs(kernel, case)
        exact = reference(kernel, given)
        timed = checked(kernel, variant, given, case, exact)
        found.append((exact, timed.prepared.flops if timed.prepared else 0.0, timed.message))
    torch.save(found, result)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
