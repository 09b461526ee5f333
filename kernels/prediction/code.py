"""What ran: pieces of machine code, and how often each was executed.

Callgrind with ``--dump-instr=yes`` tells how often each instruction ran (Valgrind's manual, chapter
6); its bytes are read from the object file that holds it, or from a copy of the process's memory
where it was generated at run time. A *piece* is a run of neighbouring instructions that ran equally
often: the body of a loop, or what is between two loops.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from capstone import CS_ARCH_X86, CS_MODE_64, CS_OPT_SYNTAX_ATT, Cs

from sparring.errors import SparringError

#: Bytes of the longest instruction (Intel's manual, volume 2).
LONGEST = 15
#: Of all that ran, so little may have unknown bytes: Callgrind gives the object file of the caller
#: to a few instructions of libraries that a program opened itself.
UNKNOWN = 0.002
#: What Callgrind calls code that no object file holds.
GENERATED = "???"

Counts = Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class Piece:
    """Instructions that ran equally often, one after the other.

    Attributes:
        where: the object file's name.
        address: of the first.
        count: how often each ran.
        lines: in AT&T's syntax.
        loops: whether its last instruction branches back into it.
    """

    where: str
    address: int
    count: float
    lines: tuple[str, ...]
    loops: bool

    @property
    def executed(self) -> float:
        """Instructions executed."""
        return self.count * len(self.lines)


def counts(path: Path) -> dict[tuple[str, int], int]:
    """How often each instruction ran, by object file and address, from a dump.

    Raises:
        SparringError: if it is no such dump.
    """
    found: dict[tuple[str, int], int] = {}
    place, skip = GENERATED, False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("ob="):
            place = line[3:]
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's, all of it
        elif line.startswith("0x"):
            if not skip:
                address, *rest = line.split()
                try:
                    number = int(rest[0]) if rest else 0
                except ValueError:
                    raise SparringError(f"{path}: is no output of Callgrind's") from None
                key = place, int(address, 16)
                found[key] = found.get(key, 0) + number
            skip = False
    if not found:
        raise SparringError(f"{path}: no instructions are counted in it")
    return found


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
    unknown = 0
    decoder = Cs(CS_ARCH_X86, CS_MODE_64)
    decoder.syntax = CS_OPT_SYNTAX_ATT
    found: list[Piece] = []
    run: list[tuple[int, str, int]] = []  # address, text, target of a branch or -1
    last: tuple[str, int, int] = ("", -1, -1)  # object file, next address, count

    def end() -> None:
        if run:
            loops = run[0][0] <= run[-1][2] <= run[-1][0]
            found.append(
                Piece(last[0], run[0][0], last[2], tuple(text for _, text, _ in run), loops)
            )
            run.clear()

    for (place, address), count in sorted(counted.items()):
        if count <= 0:
            continue
        instruction = next(decoder.disasm(code.at(place, address), address, 1), None)
        if instruction is None:
            unknown += count
            continue
        if last != (place, address, count):
            end()
        text = f"{instruction.mnemonic} {instruction.op_str}".strip()
        target = -1
        if instruction.mnemonic.startswith("j") and instruction.op_str.startswith("0x"):
            target, text = int(instruction.op_str, 16), f"{instruction.mnemonic} .L1"
        run.append((address, text, target))
        last = place, address + instruction.size, count
    end()
    if unknown > UNKNOWN * sum(counted.values()):
        raise SparringError(f"{unknown} executed instructions cannot be read from their files")
    return sorted(found, key=lambda piece: -piece.executed)


def without(counted: Counts, nothing: Counts) -> dict[tuple[str, int], int]:
    """Counts less those of calling nothing."""
    left = {key: count - nothing.get(key, 0) for key, count in counted.items()}
    return {key: count for key, count in left.items() if count > 0}


def executed(found: Iterable[Piece]) -> float:
    """Instructions executed in all pieces."""
    return sum(piece.executed for piece in found)
