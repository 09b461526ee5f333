"""Which events of LIKWID's groups count operations and bytes.

From LIKWID's own groups for Intel processors from Broadwell on (``groups/broadwellEP``:
``FLOPS_SP.txt``, ``L2.txt``, ``L3.txt``, ``MEM.txt``), events and not derived metrics, whose names
differ between versions. A fused multiply-add counts twice in ``FP_ARITH_INST_RETIRED`` (Intel 64
and IA-32 Architectures Software Developer's Manual, volume 3B). Lines that only hold instructions
(``ICACHE_MISSES`` in the group L2) are left out: they are no data of a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

from kernels.traffic.likwid.output import Counts

LINE = 64  # bytes

#: Float32 operations of an instruction.
FLOPS: Mapping[str, float] = {
    "FP_ARITH_INST_RETIRED_SCALAR_SINGLE": 1,
    "FP_ARITH_INST_RETIRED_128B_PACKED_SINGLE": 4,
    "FP_ARITH_INST_RETIRED_256B_PACKED_SINGLE": 8,
    "FP_ARITH_INST_RETIRED_512B_PACKED_SINGLE": 16,
}
#: Bytes of an event, by group.
BYTES: Mapping[str, Mapping[str, float]] = {
    "L2": {"L1D_REPLACEMENT": LINE, "L2_TRANS_L1D_WB": LINE, "L1D_M_EVICT": LINE},
    "L3": {
        "L2_LINES_IN_ALL": LINE, "L2_LINES_OUT_DEMAND_DIRTY": LINE, "L2_TRANS_L2_WB": LINE,
    },
    "MEM": {"CAS_COUNT_RD": LINE, "CAS_COUNT_WR": LINE},
}  # fmt: skip
#: The level of memory whose traffic a group counts.
LEVELS = {"L2": "L2", "L3": "L3", "MEM": "DRAM"}
GROUPS = ("FLOPS_SP", *BYTES)


def amount(counts: Counts) -> float | None:
    """Operations of the group FLOPS_SP, bytes of the others; None if nothing was counted."""
    weights = FLOPS if counts.group == "FLOPS_SP" else BYTES.get(counts.group, {})
    found = [
        weight * value
        for event, weight in weights.items()
        if (value := counts.of(event)) is not None
    ]
    return sum(found) if found else None
