"""Kernels made ready, checked and timed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kernels.declarations.kernel import Case, Inputs, Kernel, Prepared, error
from sparring.errors import SparringError

#: A result may lie so far from float64's, in norm. What is usual lies near 1e-6; a ReLU's kink
#: within rounding, or a sign, changes a number or two.
BOUND = 1e-3
#: Bytes that one case may take, with its float64 reference; larger ones are skipped.
MOST_BYTES = 2.0**30
#: A variant gets no further repetition after so many seconds, if it has had `LEAST` of them.
MOST_SECONDS, LEAST = 4.0, 2

Clock = Callable[[], float]


@dataclass
class Timed:
    """A variant of a kernel in one case.

    Attributes:
        variant: its name.
        status: "ok", "failed" or "skipped".
        message: why it is not ok.
        prepared: None if it was never made.
        error: see `kernels.declarations.kernel.error`.
        calls: in each repetition.
        seconds: of one call, for each repetition.
    """

    variant: str
    status: str = "ok"
    message: str = ""
    prepared: Prepared | None = None
    error: float | None = None
    calls: int = 1
    seconds: list[float] = field(default_factory=list)


def inputs(kernel: Kernel, case: Case) -> dict[str, Tensor]:
    """A kernel's inputs, the same for the same kernel and case."""
    return kernel.inputs(case, torch.Generator().manual_seed(0))


def reference(kernel: Kernel, given: Inputs) -> list[Tensor]:
    """A kernel's results in float64."""
    exact = {k: x.double() if x.is_floating_point() else x for k, x in given.items()}
    return [tensor.detach() for tensor in kernel.reference(exact)]


def too_large(kernel: Kernel, variant: str, case: Case) -> str:
    """Why a case does not fit into `MOST_BYTES`; empty if it does.

    Inputs and results stand in float32 and, as the reference, in twice that.
    """
    size = 3 * kernel.bytes(case) + kernel.variants[variant].memory(case)
    if size <= MOST_BYTES:
        return ""
    return f"needs {size / 2**30:.1f} GiB, more than {MOST_BYTES / 2**30:g} GiB"


def checked(kernel: Kernel, variant: str, given: Inputs, case: Case, exact: list[Tensor]) -> Timed:
    """A variant made ready and run once, its result compared with the reference.

    One that cannot be made here, the engine without a compiler, say, is skipped.
    """
    made = Timed(variant)
    try:
        made.prepared = kernel.variants[variant].prepare(given, case)
    except SparringError as fault:
        made.status, made.message = "skipped", str(fault)
        return made
    made.error = error(list(made.prepared.result(made.prepared.run())), exact)
    if not made.error < BOUND:
        made.status = "failed"
        made.message = f"the result is off by {made.error:.1e} of float64's, more than {BOUND:g}"
    return made


def time_variants(
    kernel: Kernel,
    variants: list[str],
    case: Case,
    threads: int,
    *,
    repetitions: int,
    seconds: float,
    order: random.Random,
    clock: Clock = time.perf_counter,
) -> list[Timed]:
    """Check variants of a kernel, then time each once a round, in random order.

    Args:
        kernel: what is computed.
        variants: names of those to time.
        case: the shape.
        threads: PyTorch's.
        repetitions: rounds.
        seconds: how long a repetition lasts, at least; short calls are repeated.
        order: of the variants in each round.
        clock: seconds.
    """
    torch.set_num_threads(threads)
    found = [Timed(name) for name in variants]
    for timed in found:
        most = kernel.variants[timed.variant].most_threads
        timed.message = too_large(kernel, timed.variant, case)
        if most is not None and threads > most:
            timed.message = f"uses {most} thread{'' if most == 1 else 's'} at most"
        timed.status = "skipped" if timed.message else "ok"
    if not any(timed.status == "ok" for timed in found):
        return found
    given = inputs(kernel, case)
    exact = reference(kernel, given)
    found = [
        checked(kernel, timed.variant, given, case, exact) if timed.status == "ok" else timed
        for timed in found
    ]
    del exact
    running = {t.variant: t for t in found if t.status == "ok"}
    for timed in running.values():
        guess = _repeat(timed, clock)
        if guess < seconds:  # the first call after the check may be slow
            guess = min(guess, _repeat(timed, clock))
        timed.calls = max(1, math.ceil(seconds / max(guess, 1e-9)))
    for _ in range(repetitions):
        for timed in _shuffled(running, order):
            spent = sum(timed.seconds) * timed.calls
            if len(timed.seconds) < LEAST or spent < MOST_SECONDS:
                timed.seconds.append(_repeat(timed, clock))
    return found


def _shuffled(running: Mapping[str, Timed], order: random.Random) -> Iterator[Timed]:
    yield from order.sample(list(running.values()), len(running))


def _repeat(timed: Timed, clock: Clock) -> float:
    """Seconds of one of the calls of a repetition."""
    assert timed.prepared is not None
    run = timed.prepared.run
    started = clock()
    for _ in range(timed.calls):
        run()
    return (clock() - started) / timed.calls
