"""Which launches and points were disturbed, by `harness.noise.kinds`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from harness import machine
from harness.noise import kinds
from harness.noise.kinds import Kind

_OTHER_CORES, _STOLEN_CORES, _STALL = 0.2, 0.01, 0.01
_SKEW, _SLOW_FIRST, _MODES = 0.8, 1.1, 1.05
_FEW = 6
_STEPS_OF_CLOCK = 1000


def of_launch(
    host: Mapping[str, Any], repetitions: Iterable[Mapping[str, Any]], source: str, threads: int,
    clock_step: float = 0.0, cold: bool = False,
) -> list[Kind]:  # fmt: skip
    """What disturbed one launch.

    Args:
        host: what the host told, by `harness.tables.columns.HOST_COLUMNS`.
        repetitions: as in a launch file.
        source: how the launch came to be.
        threads: of each rank.
        clock_step: seconds (`harness.launch.timing.clock_step`).
        cold: whether its warm-ups ended before its times were steady.
    """
    found = []
    for column, limit, kind in (
        ("host_other_cores", _OTHER_CORES, kinds.OTHER_LOAD),
        ("host_stolen_cores", _STOLEN_CORES, kinds.STOLEN),
        ("host_memory_stall", _STALL, kinds.MEMORY),
    ):
        value = host.get(column)
        if value is not None and value > limit:
            found.append(kind)
    timed = [repetition for repetition in repetitions if not repetition["warmup"]]
    ranks = [rank for repetition in timed for rank in repetition["ranks"] or []]
    if source == "oversubscribed":
        found.append(kinds.OVERSUBSCRIBED)
    elif source == "measured" and any(
        len(str(rank.get("cpus", "")).split()) > 2 * threads for rank in ranks
    ):  # two hardware threads a core
        found.append(kinds.UNBOUND)
    if source == "measured" and any(map(_skewed, timed)):
        found.append(kinds.SKEW)
    if any(each["seconds"] * each.get("calls", 1) < _STEPS_OF_CLOCK * clock_step for each in timed):
        found.append(kinds.TOO_SHORT)
    if cold:
        found.append(kinds.COLD)
    return found


def _skewed(repetition: Mapping[str, Any]) -> bool:
    own = [rank["run_seconds"] for rank in repetition["ranks"] or [] if "run_seconds" in rank]
    return len(own) > 1 and min(own) < _SKEW * max(own)


def settings_of_host() -> list[Kind]:
    """What of this host's settings lets its clocks vary."""
    found = [kinds.GOVERNOR] if machine.governor() not in (None, "performance") else []
    return [*found, kinds.TURBO] if machine.turbo() else found


def of_point(seconds: Sequence[float], hosts: Iterable[str] = ()) -> list[Kind]:
    """What the launches of a point look like together; nothing is said of fewer than 6.

    Args:
        seconds: of each launch, in the order in which they were started.
        hosts: names of the hosts of their ranks.
    """
    found = []
    if len(set(hosts)) > 1:
        found.append(kinds.SEVERAL_HOSTS)
    if len(seconds) < _FEW:
        return found
    first, *rest = seconds
    if first > _SLOW_FIRST * max(rest):
        found.append(kinds.SLOW_FIRST)
    elif _drifts(seconds):
        found.append(kinds.DRIFT)
    if _bimodal(seconds):
        found.append(kinds.BIMODAL)
    return found


def _drifts(seconds: Sequence[float]) -> bool:
    """Mann's test for trend at 1 %, two-sided (Mann, Econometrica 13, 1945), and 2 % in all."""
    n = len(seconds)
    score = sum(
        (seconds[j] > seconds[i]) - (seconds[j] < seconds[i])
        for i in range(n) for j in range(i + 1, n)
    )  # fmt: skip
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    z = max(0, abs(score) - 1) / deviation
    half = n // 2
    change = median(seconds[-half:]) / median(seconds[:half])
    return math.erfc(z / math.sqrt(2)) < 0.01 and abs(change - 1) > 0.02


def _bimodal(seconds: Sequence[float]) -> bool:
    """Whether the widest gap between neighbours parts them, and each side is narrow beside it."""
    ordered = sorted(seconds)
    split = max(range(1, len(ordered)), key=lambda i: ordered[i] / ordered[i - 1])
    low, high = ordered[:split], ordered[split:]
    gap = high[0] / low[-1]
    if gap < _MODES or min(len(low), len(high)) < 2:
        return False
    return all(math.log(side[-1] / side[0]) < math.log(gap) / 2 for side in (low, high))
