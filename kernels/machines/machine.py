"""Machines as data: caches and theoretical roofs of a machine that need not be at hand.

A machine is a file ``<name>.toml`` in the folder ``experiments/machines``, which is read and never
imported, or ``here``: this machine, whose caches Linux describes and whose roofs are measured
(``python -m kernels ceilings``). Theoretical numbers and measured ones are kept apart, and each has
its source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kernels.machines.roof import Roof
from sparring.errors import SparringError

#: The machine at hand.
HERE = "here"
#: Beside this package, in a checkout as in an installation.
FOLDER = Path(__file__).parents[2] / "experiments" / "machines"

_Count = Annotated[int, Field(gt=0)]
_Rate = Annotated[float, Field(gt=0)]
_Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    """Strict: an unknown key, or a number as text, is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Clock(_Part):
    """A frequency at which all cores may run.

    Attributes:
        name: "base", "turbo", ...
        ghz: 10^9 cycles a second.
        source: who says so.
    """

    name: _Text
    ghz: _Rate
    source: _Text


class Level(_Part):
    """A data cache.

    Attributes:
        level: 1 is nearest to the core.
        bytes: size of one instance.
        ways: associativity.
        line: bytes of a cache line.
        shared_by: cores that share an instance.
        bytes_per_cycle: of each core, between this level and what is nearer to the core; None if
            nobody tells.
        source: who says so.
    """

    level: _Count
    bytes: _Count
    ways: _Count
    line: _Count
    shared_by: _Count
    bytes_per_cycle: _Rate | None = None
    source: _Text

    def share(self, cores: int) -> int:
        """Bytes that fall to each of so many cores when all are busy.

        As a smaller cache with the same ways and lines, whose number of sets is a power of two, so
        that a cache simulator takes it: at most the true share.
        """
        set_bytes = self.ways * self.line
        sets = self.bytes // min(cores, self.shared_by) // set_bytes
        return set_bytes << max(0, sets.bit_length() - 1)


class Operations(_Part):
    """Float32 operations of a core in a cycle, a multiply-add as two."""

    value: _Rate
    source: _Text


class Memory(_Part):
    """Main memory's bandwidth of a socket, GB/s in 10^9 bytes."""

    gbytes_per_second: _Rate
    source: _Text


class MeasuredRoof(_Part):
    """A roof that somebody measured on this machine.

    Attributes:
        threads: a core for each.
        level: "FMA", "L1", "L2", "L3", "DRAM".
        gflops: of FMA.
        gbytes_per_second: of the others.
        source: who measured it, and how.
    """

    threads: _Count
    level: _Text
    gflops: _Rate | None = None
    gbytes_per_second: _Rate | None = None
    source: _Text


class Machine(_Part):
    """A machine.

    Attributes:
        name: of its file.
        title: for figures.
        models: parts of the processor's name, as the system tells it; for readers.
        isa: the widest instruction set: "avx512", "avx2", "generic".
        sockets: of the machine.
        cores_per_socket: physical ones.
        source: of these numbers.
        core: a static analyser's name of its cores (`kernels.prediction.architecture`); None if no
            times are predicted.
        flops_per_cycle: of a core; None if nobody tells.
        clocks: the slowest first; empty if nobody tells.
        caches: nearest first.
        memory: None if nobody tells.
        measured: roofs measured there.
    """

    name: _Text
    title: _Text
    models: tuple[_Text, ...] = ()
    isa: _Text
    sockets: _Count
    cores_per_socket: _Count
    source: _Text
    core: _Text | None = None
    flops_per_cycle: Operations | None = None
    clocks: tuple[Clock, ...] = ()
    caches: Annotated[tuple[Level, ...], Field(min_length=1)]
    memory: Memory | None = None
    measured: tuple[MeasuredRoof, ...] = ()

    @property
    def cores(self) -> int:
        """Physical cores of all sockets."""
        return self.sockets * self.cores_per_socket

    @property
    def extents(self) -> dict[str, int]:
        """Numbers of cores at which roofs are drawn: one core, one socket, all sockets."""
        named = {"core": 1, "socket": self.cores_per_socket, "machine": self.cores}
        # A machine of one socket, or a socket of one core, has fewer of them.
        return {name: count for name, count in named.items() if name == _first(named, count)}

    def cache(self, level: int) -> Level:
        """The cache of that level.

        Raises:
            SparringError: if the machine has none.
        """
        for cache in self.caches:
            if cache.level == level:
                return cache
        raise SparringError(f"machine {self.name} has no L{level}")

    def clock(self, name: str) -> Clock:
        """The clock of that name.

        Raises:
            SparringError: if the machine has none.
        """
        for clock in self.clocks:
            if clock.name == name:
                return clock
        known = ", ".join(clock.name for clock in self.clocks) or "none"
        raise SparringError(f"machine {self.name} has no clock '{name}'; it has {known}")

    def roof(self, cores: int = 1, clock: str = "base") -> Roof | None:
        """The theoretical roof over so many cores; None if the numbers for it are not known.

        Memory serves one core as it serves the whole socket: a bound that one core seldom reaches.

        Args:
            cores: busy ones, filling one socket after another.
            clock: at which they run.

        Raises:
            SparringError: if there are fewer cores, or no such clock.
        """
        if not 1 <= cores <= self.cores:
            raise SparringError(f"machine {self.name} has {self.cores} cores, not {cores}")
        if self.flops_per_cycle is None or self.memory is None or not self.clocks:
            return None
        ghz = self.clock(clock).ghz
        bandwidth = {
            f"L{cache.level}": cache.bytes_per_cycle * ghz * cores
            for cache in self.caches
            if cache.bytes_per_cycle is not None
        }
        sockets = -(-cores // self.cores_per_socket)
        bandwidth["DRAM"] = self.memory.gbytes_per_second * sockets
        capacity = {f"L{cache.level}": cache.bytes for cache in self.caches}
        return Roof(self.flops_per_cycle.value * ghz * cores, bandwidth, capacity)


def _first(named: dict[str, int], count: int) -> str:
    return next(name for name, other in named.items() if other == count)


def names(folder: Path = FOLDER) -> list[str]:
    """Names of the machines that there are, `HERE` first."""
    return [HERE, *sorted(path.stem for path in folder.glob("*.toml"))]


def load(name: str, folder: Path = FOLDER) -> Machine:
    """A machine by its name.

    Args:
        name: of a file in the folder, without ``.toml``; or `HERE`.
        folder: of the files.

    Raises:
        SparringError: if there is no such machine, or its file has a fault.
    """
    if name == HERE:
        from kernels.machines.this_machine import here

        return here()
    if name not in names(folder):
        raise SparringError(
            f"machine {name!r} is not known; expected one of {', '.join(names(folder))}, or a file "
            f"{folder / f'{name}.toml'}"
        )
    path = folder / f"{name}.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SparringError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SparringError(f"{path}: is not TOML in UTF-8: {error}") from None
    try:
        return Machine.model_validate({"name": name, **_tuples(found)})
    except ValidationError as error:
        raise SparringError(f"{path}: {_sentence(error)}") from None


def _tuples(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}


def _sentence(error: ValidationError) -> str:
    """The first fault: its key, what was found and what was expected."""
    return next(_faults(error))


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        key = ".".join(
            str(part + 1) if isinstance(part, int) else part for part in fault["loc"]
        )  # fmt: skip
        if fault["type"] == "missing":
            yield f"key '{key}' is missing"
        elif fault["type"] == "extra_forbidden":
            yield f"unknown key '{key}'"
        else:
            message = fault["msg"].removeprefix("Input should be ")
            yield f"key '{key}' is {fault['input']!r}; expected {message}"
