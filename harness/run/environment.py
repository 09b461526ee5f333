"""Under what a row was measured: a fingerprint that decides what counts as done, and provenance.

The fingerprint holds what changes the numbers (processor, MPI library, Python, the packages that
the workload declares, and the hash of its code); its hash is the column ``environment``. What only
explains them (git commit, governor, load, host ...) is kept beside it, once per distinct state.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from harness import machine
from harness.cpus import allowed_cpus
from harness.job import current_job
from harness.launch.launcher import Launcher
from harness.workload import WorkloadCode

#: Environment variables that change what a process computes with, or where it runs.
VARIABLES = ("OMP_", "OPENBLAS_", "MKL_", "KMP_", "GOMP_", "MPICH_", "MPIR_", "HYDRA_", "OMPI_",
             "UCX_", "FI_", "TORCH_", "ATEN_", "MALLOC_", "LD_PRELOAD", "CXX", "SPARRING_BACKEND",
             "SPARRING_ISA")  # fmt: skip


def fingerprint(code: WorkloadCode, launcher: Launcher) -> dict[str, Any]:
    """What changes the numbers, as plain data."""
    # Allocations of different shapes on the same nodes are the same machine: the node counts.
    allocated = current_job() is not None
    cores = machine.hardware_cores() if allocated else machine.cores()
    return {
        "cpu": {
            "model": machine.cpu_model(),
            "architecture": platform.machine(),
            "cores": len(cores) if allocated else machine.machine_cores(),
            "sockets": len({core.socket for core in cores}),
            "vector_extensions": machine.vector_extensions(),
        },
        "mpi": {"library": launcher.library, "launcher": launcher.kind},
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in sorted({"mpi4py", *code.packages})},
        "code": code.code,
    }


def environment_id(print_of: dict[str, Any]) -> str:
    """The column ``environment``: "e" and 12 hexadecimal digits of the fingerprint's hash."""
    text = json.dumps(print_of, sort_keys=True, separators=(",", ":"))
    return "e" + hashlib.sha256(text.encode()).hexdigest()[:12]


def provenance() -> dict[str, Any]:
    """What explains the numbers: code state, host, load and settings at this moment."""
    return {
        "git": _git(),
        "host": machine.node_name(),
        "system": _system(),
        "executable": Path(sys.executable).name,
        "memory_bytes": machine.memory_bytes(),
        "governor": machine.governor(),
        "affinity": allowed_cpus(),
        "load_average": [round(value, 2) for value in psutil.getloadavg()],
        "topology": [[core.socket, core.core, list(core.cpus)] for core in machine.cores()],
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
        "scheduler": _scheduler(),
        "packages": dict(sorted(_installed().items())),
    }


def _installed() -> dict[str, str]:
    """Name and version of each installed package.

    The first lines of their metadata tell both; `importlib.metadata` parses all of it for each,
    descriptions included, which takes longer than a launch.
    """
    found: dict[str, str] = {}
    for package in metadata.distributions():
        text = package.read_text("METADATA") or package.read_text("PKG-INFO") or ""
        header, _, _ = text.partition("\n\n")
        told = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
        if "Name" in told and "Version" in told:
            found.setdefault(told["Name"].strip(), told["Version"].strip())
    return found


def _system() -> str:
    """What `platform.platform` says, on Linux without its ``uname -p``, which is a process."""
    if sys.platform != "linux":
        return platform.platform()
    told = os.uname()
    library = "".join(platform.libc_ver())
    return f"{told.sysname}-{told.release}-{told.machine}-with-{library or 'unknown'}"


def _scheduler() -> dict[str, str]:
    """The scheduler's name and what it tells of our job; empty outside of a job."""
    job = current_job()
    return {"name": job.scheduler, **job.facts} if job else {}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and dirtiness of the checkout that this harness was run from, if it is one."""
    try:
        told = subprocess.run(
            ["git", "status", "--porcelain=v2", "--branch"], capture_output=True, text=True,
            errors="replace", check=True, timeout=10, cwd=Path(__file__).parent,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    header = dict(line[2:].split(" ", 1) for line in told if line.startswith("# "))
    commit = header.get("branch.oid", "")
    dirty = any(not line.startswith("# ") for line in told)
    return {"commit": commit, "dirty": dirty} if commit.isalnum() else None
