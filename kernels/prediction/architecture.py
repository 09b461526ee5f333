"""Processor cores that a static analyser knows, and the Execution-Cache-Memory model's rules.

Sources: J. Hofmann, C. L. Alappat, G. Hager, D. Fey and G. Wellein, "Bridging the Architecture
Gap: Abstracting Performance-Relevant Properties of Modern Server Processors", Supercomputing
Frontiers and Innovations 7(2), 2020, for which transfers overlap; A. Fog, "The microarchitecture
of Intel, AMD and VIA CPUs", for widths; the models' ports are OSACA's (J. Laukemann, J. Hammer, J.
Hofmann, G. Hager and G. Wellein, "Automated Instruction Stream Throughput Prediction for Intel and
AMD Microarchitectures", PMBS 2018); what a mispredicted branch costs is the ``MispredictPenalty``
of the LLVM model that is named. The latency of the second cache is assumed, in round figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sparring.errors import SparringError
from sparring.fused.machine import processor


@dataclass(frozen=True)
class Architecture:
    """A core.

    Attributes:
        osaca: OSACA's name of its model.
        llvm: llvm-mca's name of the nearest model that LLVM 14 has.
        title: in words.
        width: micro-operations that enter the scheduler in a cycle.
        misprediction: cycles that a mispredicted branch costs.
        fetch: cycles until instructions come that the first cache lacks, from the second; assumed.
        data_ports: of loads, which do not overlap with transfers between caches; empty where
            everything overlaps.
    """

    osaca: str
    llvm: str
    title: str
    width: int
    misprediction: int
    fetch: int
    data_ports: frozenset[str]

    @property
    def overlaps(self) -> bool:
        """Whether transfers between caches overlap with loads: the longest alone counts."""
        return not self.data_ports


_SPLIT, _GOLDEN = frozenset({"2D", "3D"}), frozenset({"2", "3", "11"})
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        one.osaca: one
        for one in (
            Architecture("hsw", "haswell", "Intel Haswell", 4, 16, 12, _SPLIT),
            Architecture("bdw", "broadwell", "Intel Broadwell", 4, 16, 12, _SPLIT),
            Architecture("skx", "skylake-avx512", "Intel Skylake-SP", 4, 14, 14, _SPLIT),
            Architecture("csx", "cascadelake", "Intel Cascade Lake", 4, 14, 14, _SPLIT),
            Architecture("icx", "icelake-server", "Intel Ice Lake", 5, 14, 14, _SPLIT),
            Architecture("spr", "icelake-server", "Intel Golden Cove", 6, 14, 15, _GOLDEN),
            Architecture("zen2", "znver2", "AMD Zen 2", 6, 17, 12, frozenset()),
            Architecture("zen3", "znver3", "AMD Zen 3", 6, 13, 12, frozenset()),
            Architecture("zen4", "znver3", "AMD Zen 4", 6, 13, 14, frozenset()),
        )
    }
)

#: Models of Intel's family 6 (Intel's Software Developer's Manual, volume 4, table 2-1).
_INTEL = {
    60: "hsw", 63: "hsw", 69: "hsw", 70: "hsw", 61: "bdw", 71: "bdw", 79: "bdw", 86: "bdw",
    106: "icx", 108: "icx", 143: "spr", 207: "spr", 173: "spr", 174: "spr",
}  # fmt: skip
#: AMD's families and their first models.
_AMD = {23: ((0x30, "zen2"),), 25: ((0x10, "zen4"), (0x00, "zen3"))}


def named(name: str) -> Architecture:
    """The core of that name.

    Raises:
        SparringError: if there is none.
    """
    if name not in ARCHITECTURES:
        raise SparringError(
            f"core {name!r} is not known; expected one of {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def of_here(fields: Mapping[str, str] | None = None) -> tuple[Architecture, bool]:
    """This processor's core, or the nearest, and whether it is the processor's own.

    A virtual machine may hide the model: then instructions tell the generation.

    Args:
        fields: of /proc/cpuinfo; this machine's if None.

    Raises:
        SparringError: if nothing is near.
    """
    fields = processor() if fields is None else fields
    flags = set(fields.get("flags", "").split())
    try:
        family, model = int(fields.get("cpu family", "")), int(fields.get("model", ""))
    except ValueError:
        family, model = -1, -1
    if fields.get("vendor_id") == "AuthenticAMD":
        if family == 25 and 0x20 <= model < 0x60:
            return ARCHITECTURES["zen3"], True
        for first, name in _AMD.get(family, ()):
            if model >= first:
                return ARCHITECTURES[name], True
        return ARCHITECTURES["zen4" if "avx512f" in flags else "zen3"], False
    if fields.get("vendor_id") == "GenuineIntel":
        if family == 6 and model in _INTEL:
            return ARCHITECTURES[_INTEL[model]], True
        if family == 6 and model == 85:
            return ARCHITECTURES["csx" if "avx512_vnni" in flags else "skx"], True
        marks = (("amx_tile", "spr"), ("avx_vnni", "spr"), ("avx512_vbmi2", "icx"),
                 ("avx512f", "skx"), ("rdseed", "bdw"), ("avx2", "hsw"))  # fmt: skip
        for mark, name in marks:
            if mark in flags:
                return ARCHITECTURES[name], False
    raise SparringError("no model of this processor's core is known: nothing can be predicted here")
