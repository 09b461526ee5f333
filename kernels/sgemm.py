"""NumPy's float32 matrix product, in a process of its own: what a library reaches of the peak.

``python -m kernels.sgemm 2048`` prints the seconds of one product, after one that is not timed.
OpenBLAS reads its number of threads once, when NumPy is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

#: Side of the square matrices.
SIDE = 2048
_LIMIT_SECONDS = 120.0
#: They would make OpenBLAS take another processor's kernels.
_MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def sgemm(cpus: Sequence[int]) -> tuple[float, float] | None:
    """Seconds of one product on these CPUs and its floating-point operations; None if it fails."""
    environment = {name: text for name, text in os.environ.items() if name not in _MISLEADING}
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(len(cpus))
    command = [sys.executable, "-m", "kernels.sgemm", *map(str, cpus)]
    try:
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True,
            timeout=_LIMIT_SECONDS,
        )  # fmt: skip
        return float(result.stdout), 2.0 * SIDE**3
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _main() -> None:
    cpus = [int(cpu) for cpu in sys.argv[1:]]
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)  # before NumPy starts threads, which inherit it
    import numpy as np

    a, b = (np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    out = np.empty_like(a)
    np.matmul(a, b, out=out)
    started = time.perf_counter()
    np.matmul(a, b, out=out)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    _main()
