"""Cycles of pieces of code in a core, by OSACA's tables of ports.

An instruction is micro-operations, each for one of some ports. A piece's throughput bound is the
largest of what any set of ports must take of those that no other port can, over the set's size:
the best that any assignment reaches (a fractional matching; Hall's theorem). So that a loop's body
counts as if it ran without end, which is the Execution-Cache-Memory model's assumption. Beside it
stand the front end, and, of a loop, the longest chain of results that its next round waits for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any

from kernels.prediction import mca
from kernels.prediction.architecture import Architecture
from kernels.prediction.code import Piece

#: Micro-operations: cycles, and the ports of which one takes them.
Operations = tuple[tuple[float, frozenset[str]], ...]

#: Loops with so many instructions are searched for chains; longer ones hide theirs.
LONGEST_LOOP = 160
#: What OSACA takes to be free, or lacks, though it is no more than a micro-operation in passing.
_FREE = re.compile(r"^(nop\w*|endbr64|data16|rex64)\b")
#: A load whose result nothing waits for (Intel's and AMD's manuals): it takes a port of loads.
_PREFETCH = re.compile(r"^prefetch\w+ ")
_BRANCH = re.compile(r"^(j\w+|call\w*|ret\w*)\b")
_STRING = re.compile(r"^rep (stos|movs)([bwlq])\b")
_SIZES = {"b": 1, "w": 2, "l": 4, "q": 8}
_PREFIX = re.compile(r"^(lock|notrack|bnd|repz|repnz) ")


@dataclass(frozen=True)
class Instruction:
    """What the analyser knows of an instruction.

    Attributes:
        operations: its micro-operations; None if it lacks it.
        fused: micro-operations that it counts for in the front end.
        borrowed: whether the second analyser knew it.
    """

    operations: Operations | None
    fused: int
    borrowed: bool = False


@dataclass(frozen=True)
class InCore:
    """Cycles of one round of a piece.

    Attributes:
        overlapping: by ports that overlap with transfers, the front end, and chains.
        loads: by the ports that do not.
        chain: of which the longest chain.
        missing: instructions that both analysers lack.
        borrowed: instructions that only the second one has.
    """

    overlapping: float
    loads: float
    chain: float
    missing: tuple[str, ...]
    borrowed: tuple[str, ...]


class Analyser:
    """OSACA's model of a core.

    Args:
        architecture: which.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self._known: dict[str, Instruction] = {}
        self._simulated: dict[tuple[str, ...], float | None] = {}

    @cached_property
    def _tools(self) -> tuple[Any, Any, Any]:
        from osaca.parser import get_parser
        from osaca.semantics import ArchSemantics, MachineModel

        parser, model = get_parser("x86", "ATT"), MachineModel(arch=self.architecture.osaca)
        return parser, model, ArchSemantics(parser, model)

    def analyse(self, piece: Piece, *, chains: bool = True) -> InCore:
        """Cycles of one round of a piece.

        Args:
            piece: what ran.
            chains: whether to look for the longest chain, which takes a while.
        """
        self._learn(piece.lines)
        found = [self._known[_form(line)] for line in piece.lines]
        named = [(line.split()[0], one) for line, one in zip(piece.lines, found, strict=True)]
        missing = tuple(sorted({name for name, one in named if one.operations is None}))
        borrowed = tuple(sorted({name for name, one in named if one.borrowed}))
        uops = [uop for one in found for uop in one.operations or ()]
        data = self.architecture.data_ports
        loads = [(cycles, ports) for cycles, ports in uops if data and ports <= data]
        others = [(cycles, ports) for cycles, ports in uops if not (data and ports <= data)]
        front = sum(one.fused for one in found) / self.architecture.width
        search = chains and piece.loops and len(piece.lines) <= LONGEST_LOOP
        chain = self._chain(piece) if search else 0.0
        return InCore(
            max(bound(tuple(others)), front, chain), bound(tuple(loads)), chain, missing, borrowed
        )  # fmt: skip

    def simulated(self, pieces: Sequence[Piece]) -> list[float | None]:
        """Cycles of a round of each piece by the second analyser; None where it has no opinion."""
        new = list({p.lines: p for p in pieces if p.lines not in self._simulated}.values())
        found = mca.cycles(new, self.architecture)
        self._simulated.update((piece.lines, found.get(n)) for n, piece in enumerate(new))
        return [self._simulated[piece.lines] for piece in pieces]

    def _learn(self, lines: Iterable[str]) -> None:
        new = sorted({form for line in lines if (form := _form(line)) not in self._known})
        if not new:
            return
        parser, _, semantics = self._tools
        for form in new:
            if _FREE.match(form):
                self._known[form] = Instruction((), 1)
            elif string := _STRING.match(form):
                # Fast strings store 32 bytes a cycle, whatever the size of a round (Intel's
                # Optimization Reference Manual, "REP Prefix and Data Movement").
                ports = frozenset({"4"}) if not self.architecture.overlaps else frozenset({"13"})
                self._known[form] = Instruction(((_SIZES[string[2]] / 32, ports),), 0)
            elif _PREFETCH.match(form):
                ports = self.architecture.data_ports or frozenset({"11", "12", "13"})
                self._known[form] = Instruction(((1.0, ports),), 1)
            elif _BRANCH.match(form):
                self._known[form] = Instruction(((1.0, self._branch_ports),), 1)
            else:
                self._known[form] = self._looked_up(form, parser, semantics)

    @property
    def _branch_ports(self) -> frozenset[str]:
        return frozenset({"6"} if self.architecture.osaca[:3] != "zen" else {"10"})

    def _looked_up(self, form: str, parser: Any, semantics: Any) -> Instruction:
        try:
            (line,) = parser.parse_file(form)
            semantics.normalize_instruction_forms([line])
            semantics.add_semantics([line])
        except Exception:  # its parser and tables raise many kinds for what they do not know
            return self._borrowed(form)
        if "tp_unknown" in line.flags:
            return self._borrowed(form)
        uops = tuple((float(cycles), frozenset(ports)) for cycles, ports in line.port_uops)
        data = self.architecture.data_ports | {"2", "3", "4", "7", "8", "9", "2D", "3D"}
        if self.architecture.overlaps:
            data = frozenset({"4", "11", "12", "13"})
        computing = sum(max(1, round(cycles)) for cycles, ports in uops if not ports <= data)
        return Instruction(uops, max(1, computing))

    def _borrowed(self, form: str) -> Instruction:
        found = mca.operations(form, self.architecture)
        return Instruction(found, 1, found is not None)

    def _chain(self, piece: Piece) -> float:
        """Cycles of the longest chain from one round of a loop to the next."""
        return _chain(self.architecture.osaca, piece.lines, *self._tools)


_chains: dict[tuple[str, tuple[str, ...]], float] = {}


def _chain(name: str, lines: Sequence[str], parser: Any, model: Any, semantics: Any) -> float:
    key = name, tuple(lines)
    if key not in _chains:
        from osaca.semantics import KernelDG

        try:
            kernel = parser.parse_file("\n".join(lines))
            semantics.normalize_instruction_forms(kernel)
            semantics.add_semantics(kernel)
            graph = KernelDG(kernel, parser, model, semantics, timeout=2)
            chains = graph.get_loopcarried_dependencies()
            _chains[key] = max((float(one["latency"]) for one in chains.values()), default=0.0)
        except Exception:  # of what OSACA cannot follow no chain is known
            _chains[key] = 0.0
    return _chains[key]


@lru_cache(maxsize=65536)
def bound(uops: tuple[tuple[float, frozenset[str]], ...]) -> float:
    """The least cycles in which ports can take micro-operations.

    Args:
        uops: cycles, and the ports of which one takes them; none are free.
    """
    amounts: dict[frozenset[str], float] = {}
    for cycles, ports in uops:
        if ports:
            amounts[ports] = amounts.get(ports, 0.0) + cycles
    kinds, best = list(amounts), 0.0
    unions = {
        frozenset().union(*some)
        for size in range(1, min(4, len(kinds)) + 1)
        for some in combinations(kinds, size)
    }
    for ports in unions:
        taken = sum(amount for kind, amount in amounts.items() if kind <= ports)
        best = max(best, taken / len(ports))
    return best


def _form(line: str) -> str:
    """The instruction with registers of one name each: what its ports depend on."""
    line = _PREFIX.sub("", line)
    if _BRANCH.match(line):
        return line.split()[0]
    line = re.sub(r"%([xyz])mm\d+", r"%\1mm1", line)
    line = re.sub(r"%(r[a-ds][xipl]*|r[bs]p|r[sd]i|r\d+)\b", "%rax", line)
    line = re.sub(r"%(e[a-d]x|e[sd]i|e[bs]p|r\d+d)\b", "%eax", line)
    line = re.sub(r"\$-?(0x)?[0-9a-f]+", "$1", line)
    return re.sub(r"-?(0x)?[0-9a-f]+\((?=%)", "8(", line)
