"""The instruction set of this machine."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from sparring.errors import SparringError

#: Environment variable that asks for a narrower instruction set than the machine's.
ISA_VARIABLE = "SPARRING_ISA"

_ISAS = ("avx512", "avx2", "generic")  # widest first
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
_AVX2 = frozenset({"avx2", "fma"})
_MODEL_FIELDS = (
    *("vendor_id", "cpu family", "model", "model name"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part"),  # Arm
)


class BuildError(SparringError):
    """A kernel cannot be built here."""


@dataclass(frozen=True)
class Isa:
    """An instruction set to compile for.

    Attributes:
        name: "avx512", "avx2" or "generic".
        lanes: float32 lanes of its widest vector.
        flags: what the compiler is told.
    """

    name: str
    lanes: int
    flags: tuple[str, ...]


def machine_isa() -> Isa:
    """The widest instruction set of this processor, or the narrower one that SPARRING_ISA names.

    Raises:
        BuildError: if SPARRING_ISA is no such name, or names what the processor lacks.
    """
    offered = _offered()
    wanted = os.environ.get(ISA_VARIABLE) or next(iter(offered))
    if wanted not in _ISAS:
        raise BuildError(f"{ISA_VARIABLE}={wanted}: expected one of {', '.join(_ISAS)}")
    if wanted not in offered:
        raise BuildError(
            f"{ISA_VARIABLE}={wanted}: this processor lacks it, it offers {', '.join(offered)}"
        )
    return offered[wanted]


def _offered() -> dict[str, Isa]:
    """The instruction sets that run here, by name, widest first."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    flags = set(processor()["flags"].split()) if x86 else set()
    isas = []
    if flags >= _AVX512:
        isas.append(Isa("avx512", 16, ("-march=native",)))
    if flags >= _AVX2:
        isas.append(Isa("avx2", 8, ("-march=native", "-mno-avx512f")))
    isas.append(Isa("generic", 4, ("-march=x86-64",) if x86 else ()))
    return {isa.name: isa for isa in isas}


@functools.cache
def processor() -> dict[str, str]:
    """What ``-march=native`` depends on: the processor's model, and its sorted ``flags``."""
    fields = {}
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        for line in lines:
            if not line.strip():
                break  # the first processor stands for all
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
    if not fields:
        fields = {"model name": platform.processor()}
    flags = fields.get("flags", fields.get("Features", ""))
    model = {name: fields[name] for name in _MODEL_FIELDS if name in fields}
    return {"machine": platform.machine(), **model, "flags": " ".join(sorted(flags.split()))}
