"""The kinds of disturbance, each with its cause and its remedy.

A launch is marked by what happened in it, a point by what its launches look like together. Marks
stand in the tables and are told; no row is ever dropped for one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of disturbance: its mark in tables, what it means, and what helps."""

    mark: str
    cause: str
    remedy: str


OTHER_LOAD = Kind(
    "other-load", "other programs kept more than a fifth of a core busy meanwhile",
    "stop them, or take more rounds: ratios within rounds suffer least",
)  # fmt: skip
STOLEN = Kind(
    "stolen", "the host of this virtual machine gave more than 1 % of a core to others",
    "measure where cores are your own, or take more rounds",
)  # fmt: skip
MEMORY = Kind(
    "memory-pressure", "something waited for memory for more than 1 % of the time",
    "give the machine more memory, or the study less work",
)  # fmt: skip
OVERSUBSCRIBED = Kind(
    "oversubscribed", "more threads than cores: they take turns, and times tell of the scheduler",
    "run no more processes x threads than `harness doctor` counts cores",
)  # fmt: skip
UNBOUND = Kind(
    "unbound", "ranks could wander between cores",
    "let the scheduler bind them (TaskPlugin=task/affinity), or start them by mpiexec",
)  # fmt: skip
SKEW = Kind(
    "rank-skew", "some ranks took less than 80 % of the time of the slowest",
    "look at the ranks table: an uneven share of the work, or of the cores",
)  # fmt: skip
TOO_SHORT = Kind(
    "too-short", "a repetition took less than a thousand steps of the clock that times it",
    "let run() do the work many times over, and divide; without prepare() the harness does so",
)  # fmt: skip
COLD = Kind(
    "not-warm", "warm-ups ended at max_warmups, and their last three times varied by 2 % or more",
    "raise measure.max_warmups, or look for what makes times wander",
)  # fmt: skip
GOVERNOR = Kind(
    "governor", "the frequency governor lets clocks vary",
    "cpupower frequency-set --governor performance",
)  # fmt: skip
TURBO = Kind(
    "turbo", "clocks rise above their base where few cores work, which flatters small p",
    "turn turbo off (intel_pstate/no_turbo, cpufreq/boost), or state that it was on",
)  # fmt: skip
SLOW_FIRST = Kind(
    "slow-first-launch", "the first launch took more than 10 % longer than all others",
    "let something run before, or count one launch more",
)  # fmt: skip
BIMODAL = Kind(
    "bimodal", "times fall into two groups more than 5 % apart",
    "look for what differs between them: placement of ranks, memory, another program",
)  # fmt: skip
DRIFT = Kind(
    "drift", "later launches are slower, or faster, than earlier ones",
    "trust the ratios within rounds and not the medians; look for heat and other programs",
)  # fmt: skip
SEVERAL_HOSTS = Kind(
    "several-hosts", "its launches ran on hosts of several names",
    "measure on one node (submit --by replicates), or state that they were several",
)  # fmt: skip

#: All kinds, by their marks.
KINDS = {
    kind.mark: kind
    for kind in (
        OTHER_LOAD, STOLEN, MEMORY, OVERSUBSCRIBED, UNBOUND, SKEW, TOO_SHORT, COLD, GOVERNOR,
        TURBO, SLOW_FIRST, BIMODAL, DRIFT, SEVERAL_HOSTS,
    )
}  # fmt: skip
