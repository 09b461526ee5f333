"""What ran: pieces of machine code, and how often each was executed.

Callgrind with ``--dump-instr=yes`` tells how often each instruction ran (Valgrind's manual, chapter
6); its bytes are read from the object file that holds it, or from a copy of the process's memory
where it was generated at run time. A *piece* is a run of neighbouring instructions that ran equally
often: the body of a loop, or what is between two loops.

Callgrind's model of branches (a table of counters and a bit of history) mispredicts the end of
every loop of more than a few rounds. Processors since Intel's Haswell predict about as well as TAGE
(E. Rohou, B. N. Swamy and A. Seznec, "Branch Prediction and the Performance of Interpreters: Don't
Trust Folklore", CGO 2015), which follows a loop that has equally many rounds each time, as long as
all its branches are in its history. So the end of such a loop is not counted, if it has at most
`FOLLOWED` branches; of all others Callgrind's count stands.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from capstone import CS_ARCH_X86, CS_MODE_64, CS_OPT_SYNTAX_ATT, Cs

from sparring.errors import SparringError

#: Bytes of the longest instruction (Intel's manual, volume 2).
LONGEST = 15
#: Of all that ran, so little may have unknown bytes: Callgrind gives the object file of the caller
#: to a few instructions of libraries that a program opened itself.
UNKNOWN = 0.002
#: Taken branches from the beginning of a loop to its end that a predictor follows. On Intel's
#: Granite Rapids a loop of 32 rounds ends at no cost, one of 48 costs some 20 cycles, as
#: ``python -m kernels predict --machine here`` measures; of other cores it is assumed.
FOLLOWED = 32
#: What Callgrind calls code that no object file holds.
GENERATED = "???"


class Ran(NamedTuple):
    """What Callgrind counted of an instruction.

    Attributes:
        times: that it ran.
        mispredicted: branches.
        fetches: times that the first cache lacked it.
        l1_misses, l2_misses: data that it wanted and the first cache, or the second, lacked.
        taken: times that it branched, if it is a conditional branch.
    """

    times: int
    mispredicted: int = 0
    fetches: int = 0
    l1_misses: int = 0
    l2_misses: int = 0
    taken: int = 0


#: Callgrind's events, in the order of `Ran` (Valgrind's manual, chapter 5).
_EVENTS = (("Ir",), ("Bcm", "Bim"), ("I1mr",), ("D1mr", "D1mw"), ("DLmr", "DLmw"))

Counts = Mapping[tuple[str, int], Ran]


@dataclass(frozen=True)
class Piece:
    """Instructions that ran equally often, one after the other.

    Attributes:
        where: the object file's name.
        address: of the first.
        count: how often each ran.
        lines: in AT&T's syntax.
        loops: whether its last instruction branches back into it.
        mispredicted, fetches, l1_misses, l2_misses: of all its rounds together; see `Ran`.
    """

    where: str
    address: int
    count: float
    lines: tuple[str, ...]
    loops: bool
    mispredicted: int = 0
    fetches: int = 0
    l1_misses: int = 0
    l2_misses: int = 0

    @property
    def executed(self) -> float:
        """Instructions executed."""
        return self.count * len(self.lines)


def counts(path: Path) -> dict[tuple[str, int], Ran]:
    """What was counted of each instruction, by object file and address, from a dump.

    Raises:
        SparringError: if it is no such dump.
    """
    found: dict[tuple[str, int], Ran] = {}
    place, skip, taken, columns = GENERATED, False, 0, [[0]]
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("ob="):
            place = line[3:]
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's, all of it
        elif line.startswith(("jump=", "jcnd=")):
            skip = True  # the next line is the branch's address, without counts
            taken = int(re.split(r"[=/ ]", line)[1]) if line.startswith("jcnd=") else 0
        elif line.startswith("events:"):
            names = line.split()[1:]
            columns = [[names.index(name) for name in kind if name in names] for kind in _EVENTS]
        elif line.startswith("0x"):
            address, *rest = line.split()
            key = place, int(address, 16)
            if skip and taken:
                old = found.get(key, Ran(0))
                found[key], taken = old._replace(taken=old.taken + taken), 0
            elif not skip:
                try:
                    numbers = [int(word) for word in rest]
                except ValueError:
                    raise SparringError(f"{path}: is no output of Callgrind's") from None
                # Zeros at the end are left out.
                new = Ran(*(sum(numbers[n] for n in kind if n < len(numbers)) for kind in columns))
                old = found.get(key, Ran(0))
                found[key] = _added(old, new)
            skip = False
    if not found:
        raise SparringError(f"{path}: no instructions are counted in it")
    return found


def _added(one: Ran, other: Ran) -> Ran:
    return Ran(*(a + b for a, b in zip(one, other, strict=True)))


class Code:
    """The bytes of code, by object file and address.

    Args:
        folder: with a ``.code`` file, named by its address, for each piece of generated code.
    """

    def __init__(self, folder: Path) -> None:
        self._pieces = {
            int(path.stem, 16): path.read_bytes() for path in sorted(folder.glob("*.code"))
        }

    def at(self, place: str, address: int) -> bytes:
        """The `LONGEST` bytes from an address on; fewer at the end, none if nothing is known."""
        if place != GENERATED:
            return next(
                (
                    bytes(content[address - begin :][:LONGEST])
                    for begin, content in _segments(place)
                    if begin <= address < begin + len(content)
                ),
                b"",
            )
        for begin, content in self._pieces.items():
            if begin <= address < begin + len(content):
                return content[address - begin : address - begin + LONGEST]
        return b""


@lru_cache(maxsize=16)
def _segments(path: str) -> tuple[tuple[int, memoryview], ...]:
    """Address and bytes of each loaded segment (System V ABI, chapter 5; 64 bits)."""
    try:
        content = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise SparringError(f"{path}: cannot be read: {error.strerror}") from None
    if bytes(content[:6]) != b"\x7fELF\x02\x01":
        raise SparringError(f"{path}: is no 64-bit object file")
    (start,) = struct.unpack_from("<Q", content, 32)
    size, number = struct.unpack_from("<HH", content, 54)
    found = []
    for index in range(number):
        kind, flags, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", content, start + index * size
        )
        if kind == 1 and flags & 1:  # loaded, executable
            found.append((address, content[offset : offset + length]))
    return tuple(found)


def pieces(counted: Counts, code: Code) -> list[Piece]:
    """The pieces of what ran, the most executed first.

    Args:
        counted: of one call; see `counts`.
        code: what was there.

    Raises:
        SparringError: if the bytes of more than `UNKNOWN` of what ran are not known.
    """
    unknown, decoder = 0, Cs(CS_ARCH_X86, CS_MODE_64)
    decoder.syntax = CS_OPT_SYNTAX_ATT
    branches = sorted(key for key, ran in counted.items() if ran.taken)
    found: list[Piece] = []
    run: list[tuple[int, str, int, Ran]] = []  # address, text, target of a branch or -1
    last: tuple[str, int, int] = ("", -1, -1)  # object file, next address, count

    def end() -> None:
        if run:
            loops = run[0][0] <= run[-1][2] <= run[-1][0]
            lines = tuple(text for _, text, _, _ in run)
            events = [sum(ran[n] for *_, ran in run) for n in range(1, Ran._fields.index("taken"))]
            found.append(Piece(last[0], run[0][0], last[2], lines, loops, *events))
            run.clear()

    for (place, address), ran in sorted(counted.items()):
        count = ran.times
        if count <= 0:
            continue
        instruction = next(decoder.disasm(code.at(place, address), address, 1), None)
        if instruction is None:
            unknown += count
            continue
        if instruction.mnemonic.startswith("rep"):
            # Valgrind runs it as a loop of its own, with a branch that no processor has.
            ran = ran._replace(mispredicted=0)
        if last != (place, address, count):
            end()
        text = f"{instruction.mnemonic} {instruction.op_str}".strip()
        target = -1
        if instruction.mnemonic.startswith("j") and instruction.op_str.startswith("0x"):
            target, text = int(instruction.op_str, 16), f"{instruction.mnemonic} .L1"
            if ran.mispredicted and 0 < target <= address:
                inside = branches[bisect_left(branches, (place, target)) :
                                  bisect_right(branches, (place, address))]  # fmt: skip
                if followed(ran, sum(counted[key].taken for key in inside)):
                    ran = ran._replace(mispredicted=0)
        run.append((address, text, target, ran))
        last = place, address + instruction.size, count
    end()
    if unknown > UNKNOWN * sum(ran.times for ran in counted.values()):
        raise SparringError(f"{unknown} executed instructions cannot be read from their files")
    return sorted(found, key=lambda piece: -piece.executed)


def followed(end: Ran, taken: int) -> bool:
    """Whether a processor predicts the end of a loop: one of equally many, and few, rounds.

    Args:
        end: the branch back to the loop's beginning.
        taken: all branches that were taken in the loop, together.
    """
    entries = end.times - end.taken
    return entries > 0 and end.times % entries == 0 and taken <= FOLLOWED * entries


def without(counted: Counts, nothing: Counts) -> dict[tuple[str, int], Ran]:
    """Counts less those of calling nothing."""
    none = Ran(0)
    left = {
        key: Ran(*(max(0, a - b) for a, b in zip(ran, nothing.get(key, none), strict=True)))
        for key, ran in counted.items()
    }
    return {key: ran for key, ran in left.items() if ran.times > 0}


def executed(found: Iterable[Piece]) -> float:
    """Instructions executed in all pieces."""
    return sum(piece.executed for piece in found)
