"""The Execution-Cache-Memory model: the time of a kernel from its code and its traffic.

Sources: G. Hager, J. Treibig, J. Habich and G. Wellein, "Exploring performance and power properties
of modern multi-core chips via simple machine models", CCPE 28(2), 2016; H. Stengel, J. Treibig, G.
Hager and G. Wellein, "Quantifying performance bottlenecks of stencil computations using the
Execution-Cache-Memory model", ICS 2015.

The model is of a loop: where transfers between caches do not overlap with loads (Intel), it takes
max(T_core, T_load + T_L2 + T_L3 + T_DRAM); where all overlap (AMD), the largest of them. A kernel
is many loops, one after the other: its time is the sum over its pieces of code, each with its part
of the simulated traffic, as it has of the misses (of L1 for what comes from L2, of L2 for what
comes from further away).

T_core of a piece is the slower of two opinions, times how often it ran: OSACA's, a bound on
throughput, and llvm-mca's, which simulates a scheduler of finite size. To it are added what the
pieces' mispredicted branches cost, and the instructions that the first cache lacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernels.prediction.architecture import Architecture
from kernels.prediction.code import Piece, executed
from kernels.prediction.incore import Analyser
from kernels.traffic.traffic import Traffic

#: Of all executed instructions, so many may be unknown to both analysers.
UNKNOWN = 0.005
#: Chains are looked for in loops of at least this part of all executed instructions.
WORTH = 0.002
#: The second opinion is asked of pieces of at least this part.
ASKED = 0.0002


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
        core: seconds in the core, by the slower opinion of each piece, with stalls.
        throughput: seconds in the core as OSACA has them.
        second_opinion: seconds in the core as llvm-mca has them, of what it analysed scaled to all;
            None without it.
        mispredicted: of ``core``, seconds lost by mispredicted branches.
        fetching: of ``core``, seconds of waiting for instructions.
        loads: seconds in which the ports of loads are busy, that do not overlap with transfers.
        data: seconds of the transfers of each level.
        seconds: of a call; None if it is not predicted.
        instructions: executed.
        missing: those that both analysers lack, with their part of all that were executed.
        borrowed: those that only the second one has.
    """

    core: float
    throughput: float
    second_opinion: float | None
    mispredicted: float
    fetching: float
    loads: float
    data: Mapping[str, float]
    seconds: float | None
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
    total, cycle, core = executed(pieces), 1 / ghz / 1e9, analyser.architecture
    asked = [piece for piece in pieces if piece.executed >= ASKED * total]
    opinions = dict(zip(map(id, asked), analyser.simulated(asked), strict=True))
    shares = _shares(pieces)
    rates = {link.level: link.gbytes_per_second for link in links}
    data = {one.level: one.bytes / rates[one.level] / 1e9 for one in traffic if one.level in rates}
    sums = dict.fromkeys(("core", "throughput", "loads", "seconds"), 0.0)
    simulated, covered, missing, borrowed = 0.0, 0.0, dict[str, float](), set[str]()
    for number, piece in enumerate(pieces):
        found = analyser.analyse(piece, chains=piece.executed >= WORTH * total)
        rounds, opinion = piece.count * cycle, opinions.get(id(piece))
        bound, loads = rounds * max(found.overlapping, found.loads), rounds * found.loads
        stalls = cycle * (piece.mispredicted * core.misprediction + piece.fetches * core.fetch)
        inside = max(bound, rounds * (opinion or 0.0)) + stalls
        if opinion is not None:
            simulated += rounds * opinion
            covered += piece.executed
        moved = [data[level] * shares[level != "L2"][number] for level in data]
        for name, value in (("core", inside), ("throughput", bound), ("loads", loads),
                            ("seconds", combined(inside, loads, moved, core))):  # fmt: skip
            sums[name] += value
        borrowed.update(found.borrowed)
        for name in found.missing:
            ran = piece.count * sum(line.split()[0] == name for line in piece.lines)
            missing[name] = missing.get(name, 0.0) + ran / total
    return Prediction(
        sums["core"], sums["throughput"], simulated * total / covered if covered else None,
        cycle * core.misprediction * sum(piece.mispredicted for piece in pieces),
        cycle * core.fetch * sum(piece.fetches for piece in pieces),
        sums["loads"], data, sums["seconds"] if sum(missing.values()) <= UNKNOWN else None, total,
        dict(sorted(missing.items(), key=lambda item: -item[1])), tuple(sorted(borrowed)),
    )  # fmt: skip


def combined(core: float, loads: float, data: Iterable[float], architecture: Architecture) -> float:
    """Seconds by the architecture's rule (see above)."""
    transfers = list(data)
    if architecture.overlaps:
        return max([core, *transfers])
    return max(core, loads + sum(transfers))


def _shares(pieces: Sequence[Piece]) -> tuple[list[float], list[float]]:
    """Each piece's part of the misses of L1 and of L2; of what ran, if nothing missed."""
    found = []
    for amounts in ([p.l1_misses for p in pieces], [p.l2_misses for p in pieces]):
        weights = amounts if sum(amounts) else [piece.executed for piece in pieces]
        found.append([weight / sum(weights) for weight in weights])
    return found[0], found[1]
