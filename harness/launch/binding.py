"""Which CPUs a rank runs on: told by the launcher, taken by the rank itself.

Imported by every rank before it has begun, so that it imports next to nothing.
"""

from __future__ import annotations

import os

#: Environment variable that tells a worker the CPUs of each local rank: "0;1" or "0,1;2,3".
BINDING = "HARNESS_BINDING"

_LOCAL_RANK = ("MPI_LOCALRANKID", "PMI_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID",
               "PMI_RANK")  # fmt: skip


def bind() -> None:
    """Bind this rank to its CPUs, before any library counts how many there are."""
    plan = os.environ.get(BINDING)
    local = next((int(os.environ[name]) for name in _LOCAL_RANK if os.environ.get(name)), 0)
    if plan and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(cpu) for cpu in plan.split(";")[local].split(",")])
