"""Which CPUs a rank runs on: told by the launcher, taken by the rank itself.

Imported by every rank before it has begun, so that it imports next to nothing. It also starts each
rank of a command: ``python -m harness.launch.binding FOLDER PROGRAM ARGUMENTS ...`` binds it and
becomes the program; nobody types it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from harness import current_folder

    current_folder.leave()

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


def main(folder: str, argv: list[str]) -> None:
    """Become the program, bound; it does not return."""
    bind()
    os.chdir(folder)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
