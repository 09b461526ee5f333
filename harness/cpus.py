"""This host's name and its CPUs, as the system tells them.

Imported by every rank before it has begun, so that it imports next to nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

SYSTEM = Path("/sys/devices/system/cpu")


def host_name() -> str:
    """This host's name as the system knows it."""
    return os.uname().nodename


def allowed_cpus() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def core_of(cpu: int) -> tuple[int, int]:
    """Numbers of the socket and of the physical core that a CPU (hardware thread) belongs to."""
    return _topology_number(cpu, "physical_package_id"), _topology_number(cpu, "core_id")


def _topology_number(cpu: int, name: str) -> int:
    try:
        return int((SYSTEM / f"cpu{cpu}" / "topology" / name).read_text())
    except (OSError, ValueError):
        # No topology in /sys (containers, other systems): each CPU counts as its own core.
        return 0 if name == "physical_package_id" else cpu


def cgroup_core_limit() -> float | None:
    """CPU time that a control group allows, in cores, or None without a limit (cgroup v2)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None
