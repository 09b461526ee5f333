"""The Execution-Cache-Memory model: the time of a kernel from its code and its traffic.

Sources: G. Hager, J. Treibig, J. Habich and G. Wellein, "Exploring performance and power properties
of modern multi-core chips via simple machine models", CCPE 28(2), 2016; H. Stengel, J. Treibig, G.
Hager and G. Wellein, "Quantifying performance bottlenecks of stencil computations using the
Execution-Cache-Memory model", ICS 2015.

Where transfers between caches do not overlap with loads (Intel), a kernel takes
max(T_core, T_load + T_L2 + T_L3 + T_DRAM); where all overlap (AMD), the largest of them. T_core is
the sum over the pieces of code of how often each ran times its cycles in the core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernels.prediction import mca
from kernels.prediction.architecture import Architecture
from kernels.prediction.code import Piece, executed
from kernels.prediction.incore import Analyser
from kernels.traffic.traffic import Traffic

#: Of all executed instructions, so many may be unknown to both analysers.
UNKNOWN = 0.005
#: Chains are looked for in loops, and the second opinion asked of pieces, of at least this part of
#: all executed instructions.
WORTH = 0.002


@dataclass(frozen=True)
class Link:
    """The way of data from a level to what is nearer to the core.

    Attributes:
        level: "L2" is between L1 and L2.
        gbytes_per_second: of a core, of the transfer alone.
    """

    level: str
    gbytes_per_second: float


@dataclass(frozen=True)
class Prediction:
    """A kernel's time.

    Attributes:
        core: seconds in the core.
        loads: of which the ports of loads are busy, that do not overlap with transfers.
        data: seconds of the transfers of each level.
        seconds: of a call; None if it is not predicted.
        second_opinion: seconds in the core as llvm-mca has them, of what it analysed scaled to all;
            None without it.
        instructions: executed.
        missing: those that both analysers lack, with their part of all that were executed.
        borrowed: those that only the second one has.
    """

    core: float
    loads: float
    data: Mapping[str, float]
    seconds: float | None
    second_opinion: float | None
    instructions: float
    missing: Mapping[str, float]
    borrowed: tuple[str, ...]

    @property
    def message(self) -> str:
        """Why it is not predicted; else which instructions are not OSACA's own; may be empty."""
        said = []
        if self.missing:
            names = ", ".join(f"{name} ({part:.2%})" for name, part in self.missing.items())
            said.append(f"{'not predicted: ' if self.seconds is None else ''}unknown: {names}")
        if self.borrowed:
            said.append(f"by llvm-mca: {', '.join(self.borrowed[:12])}")
        return "; ".join(said)


def predict(
    pieces: Sequence[Piece],
    traffic: Iterable[Traffic],
    links: Sequence[Link],
    ghz: float,
    analyser: Analyser,
) -> Prediction:
    """The time of a call.

    Args:
        pieces: what a call executes.
        traffic: bytes of a call at each level, warm.
        links: of the machine.
        ghz: its clock.
        analyser: of its core.
    """
    total = executed(pieces)
    core, loads, missing, borrowed = 0.0, 0.0, dict[str, float](), set[str]()
    for piece in pieces:
        found = analyser.analyse(piece, chains=piece.executed >= WORTH * total)
        core += piece.count * max(found.overlapping, found.loads)
        loads += piece.count * found.loads
        borrowed.update(found.borrowed)
        for name in found.missing:
            ran = piece.count * sum(line.split()[0] == name for line in piece.lines)
            missing[name] = missing.get(name, 0.0) + ran / total
    rates = {link.level: link.gbytes_per_second for link in links}
    data = {one.level: one.bytes / rates[one.level] / 1e9 for one in traffic if one.level in rates}
    in_core, loading = core / ghz / 1e9, loads / ghz / 1e9
    known = sum(missing.values()) <= UNKNOWN
    return Prediction(
        in_core, loading, data,
        combined(in_core, loading, data.values(), analyser.architecture) if known else None,
        _second(pieces, total, ghz, analyser.architecture), total,
        dict(sorted(missing.items(), key=lambda item: -item[1])), tuple(sorted(borrowed)),
    )  # fmt: skip


def combined(core: float, loads: float, data: Iterable[float], architecture: Architecture) -> float:
    """Seconds by the architecture's rule (see above)."""
    transfers = list(data)
    if architecture.overlaps:
        return max([core, *transfers])
    return max(core, loads + sum(transfers))


def _second(
    pieces: Sequence[Piece], total: float, ghz: float, architecture: Architecture
) -> float | None:
    asked = [piece for piece in pieces if piece.executed >= WORTH * total]
    cycles = mca.cycles(asked, architecture)
    covered = sum(asked[index].executed for index in cycles)
    if not covered:
        return None
    taken = sum(asked[index].count * rounds for index, rounds in cycles.items())
    return taken / ghz / 1e9 * total / covered
