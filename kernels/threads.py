"""PyTorch's intra-op threads, set for a while and put back.

``torch.set_num_threads`` sets the calling thread's OpenMP threads and, where PyTorch has MKL, those
of MKL for the whole process; a thread that starts later takes the number that was set last. Setting
and putting back must therefore happen on the same thread, the one that computes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def intra_op(threads: int) -> Iterator[None]:
    """Compute each operator with so many threads; on leaving, with as many as before.

    Raises:
        ValueError: if ``threads`` is below 1.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}; expected 1 or more")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)


class Stopwatch:
    """Seconds of wall clock, and how many cores this process kept busy meanwhile.

    Threads that wait for work by spinning count as busy: ``cores`` tells how many threads there
    were, not how well they were used.
    """

    def __init__(self) -> None:
        self.seconds = self.cores = 0.0

    def __enter__(self) -> Stopwatch:
        self._cpu = time.process_time()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cores = (time.process_time() - self._cpu) / self.seconds
