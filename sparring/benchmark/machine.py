"""What the benchmark ran on."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


@cache
def cores() -> int:
    """Physical cores that this process may keep busy: affinity and control group respected."""
    if hasattr(os, "sched_getaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
    else:
        cpus = list(range(os.cpu_count() or 1))
    found = len({_core(cpu) for cpu in cpus})
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return found if quota == "max" else max(1, min(found, int(quota) // int(period)))
    except (OSError, ValueError):
        return found


def _core(cpu: int) -> tuple[str, str]:
    topology = _CPUS / f"cpu{cpu}" / "topology"
    try:
        package = (topology / "physical_package_id").read_text().strip()
        return package, (topology / "core_id").read_text().strip()
    except OSError:  # hidden in containers and on other systems: each CPU counts as a core
        return "", str(cpu)


@cache
def cpu_model() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load_average() -> float | None:
    """Processes that wanted to run in the last minute, or None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
