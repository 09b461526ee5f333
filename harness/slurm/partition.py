"""What the nodes of a partition are like, as sinfo(1) tells it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from harness.slurm.site import Site, seconds_of

_FORMAT = "%P|%X|%Y|%l|%D|%f"


@dataclass(frozen=True)
class Partition:
    """Nodes that a job may get.

    Attributes:
        cores_per_node: physical cores, of the smallest node; hardware threads are no cores.
        limit_seconds: the longest time limit, or None.
    """

    cores_per_node: int
    limit_seconds: int | None


def find_partition(site: Site) -> Partition | None:
    """The site's partition, or the default one, cut down to its constraint; None without Slurm."""
    command = ["sinfo", "--noheader", "--exact", f"--format={_FORMAT}"]
    if site.partition:
        command.append(f"--partition={site.partition}")
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return partition_of(result.stdout, site) if result.returncode == 0 else None


def partition_of(told: str, site: Site) -> Partition | None:
    """What sinfo told, as a partition; None if it has no node for us."""
    wanted = {word for word in site.constraint.replace("&", ",").split(",") if word.isidentifier()}
    cores, limits = [], []
    for line in told.splitlines():
        name, sockets, per_socket, limit, _, features = line.split("|")
        # "Features" may be "(null)"; a constraint with other operators is left to sbatch.
        if not site.partition and not name.endswith("*"):
            continue
        if wanted and not wanted <= set(features.split(",")):
            continue
        cores.append(int(sockets) * int(per_socket))
        limits.append(None if limit in ("infinite", "n/a") else seconds_of(limit))
    known = [limit for limit in limits if limit is not None]
    return Partition(min(cores), min(known) if known else None) if cores else None
