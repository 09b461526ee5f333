"""Traffic that can be derived by hand, to hold the simulated against.

A warm cache that keeps what was used last (LRU) and holds all that a call goes through moves
nothing. One that does not hold it, and that is gone through from front to back, has lost each line
before it comes again: it fetches every line of an input, fetches every line of an output before it
is written, and writes that one back.

    kernel                       goes through    moves where that does not fit
    relu_forward, m numbers      8 m             4 m read + 4 m fetched + 4 m written back = 12 m
    relu_backward, m numbers     12 m            8 m read + 4 m fetched + 4 m written back = 16 m
    linear1_forward, one image   4 (i o + i)     4 i o of weights, once; the inputs once, 4 i, or,
                                                 if they are lost meanwhile, up to o times, 4 i o

Beside it a call of PyTorch goes through some thousand lines of its own, the same for any kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernels.counts.work import FLOAT
from kernels.declarations.kernel import Case
from kernels.declarations.study import network
from kernels.traffic.cachesim.passes import Pass
from kernels.traffic.cachesim.simulate import Simulated, Wanted

#: What PyTorch goes through beside a kernel's data, in bytes; and a part of the amount itself.
SLACK_BYTES, SLACK = 64 * 1024, 0.05
_BATCH, _SIZE = 64, 28


@dataclass(frozen=True)
class Derived:
    """Traffic of one call at a cache.

    Attributes:
        low, high: bytes; the same where only one number is possible.
    """

    low: float
    high: float

    def holds(self, found: float) -> bool:
        """Whether a simulated number agrees, but for what PyTorch itself goes through."""
        return (
            (1 - SLACK) * self.low - SLACK_BYTES <= found <= (1 + SLACK) * self.high + SLACK_BYTES
        )


def wanted() -> list[Wanted]:
    """The kernels, small enough to be simulated in seconds and larger than an L2."""
    batch, one = Case(_BATCH, _SIZE), Case(1, _SIZE)
    return [
        Wanted("relu_forward", "torch_nchw", batch), Wanted("relu_backward", "torch_nchw", batch),
        Wanted("linear1_forward", "torch_nchw", one),
    ]  # fmt: skip


def derived(item: Wanted, cache: int) -> Derived:
    """What a call moves beyond a cache of so many bytes; see the head of this module.

    Args:
        item: one of `wanted`.
        cache: its size.

    Raises:
        KeyError: if nothing was derived for the kernel.
    """
    layers = network(item.case.input_size)
    conv, dense = layers.convolutions[-1], layers.dense[0]
    numbers = item.case.batch_size * conv.out_channels * conv.conv_height * conv.conv_width
    weights, inputs = FLOAT * dense.weights, FLOAT * dense.inputs
    extent, low, high = {
        "relu_forward": (2 * FLOAT * numbers, 3 * FLOAT * numbers, 3 * FLOAT * numbers),
        "relu_backward": (3 * FLOAT * numbers, 4 * FLOAT * numbers, 4 * FLOAT * numbers),
        "linear1_forward": (weights + inputs, weights + inputs, 2 * weights),
    }[item.kernel]
    return Derived(0.0, 0.0) if extent <= cache else Derived(float(low), float(high))


@dataclass(frozen=True)
class Line:
    """A kernel at a cache: derived, and simulated again and again.

    Attributes:
        item: the kernel.
        level: whose traffic it is.
        compulsory: each input and output once, wherever it comes from.
        derived: by hand.
        simulated: bytes of each simulation.
    """

    item: Wanted
    level: str
    compulsory: float
    derived: Derived
    simulated: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Whether every simulation has what was derived."""
        return all(map(self.derived.holds, self.simulated))

    @property
    def spread(self) -> float:
        """The largest difference of two simulations, in bytes."""
        return max(self.simulated) - min(self.simulated)


def compare(
    todo: Sequence[Pass], found: Sequence[dict[Wanted, Simulated]], compulsory: dict[Wanted, float]
) -> list[Line]:
    """A line for each kernel and cache.

    Args:
        todo: the passes that were simulated.
        found: of each simulation.
        compulsory: bytes of each kernel.
    """
    return [
        Line(
            item, one.level, compulsory[item], derived(item, one.last.bytes),
            tuple(simulated[item].traffic[number].bytes for simulated in found),
        )
        for item in wanted()
        for number, one in enumerate(todo)
    ]  # fmt: skip
