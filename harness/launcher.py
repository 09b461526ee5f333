"""How MPI processes are started here: which launcher, with which command, bound to which cores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UserError
from harness.machine import bindings

#: Environment variable that tells a worker the CPUs of each local rank: "0;1" or "0,1;2,3".
BINDING = "HARNESS_BINDING"

#: Every thread pool that a numerical library might open.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
                    "NUMBA_NUM_THREADS")  # fmt: skip


@dataclass(frozen=True)
class Launcher:
    """A way to start MPI processes.

    Attributes:
        kind: ``mpiexec`` or ``srun``.
        path: the program.
        library: the MPI library and version that Python is bound to.
        flavour: ``mpich`` or ``openmpi``, the dialect of ``mpiexec``.
        mpi_plugin: for srun, the ``--mpi`` plugin.
    """

    kind: str
    path: str
    library: str
    flavour: str
    mpi_plugin: str = ""

    def command(self, processes: int, threads: int, program: list[str]) -> list[str]:
        """The command line that starts ``program`` on ``processes`` ranks."""
        if self.kind == "srun":
            binds = bindings(processes, threads) is not None
            return [
                self.path, f"--ntasks={processes}", f"--cpus-per-task={threads}",
                f"--mpi={self.mpi_plugin}", f"--cpu-bind={'cores' if binds else 'none'}",
                *([] if binds else ["--overcommit"]), "--kill-on-bad-exit=1", "--unbuffered",
                *program,
            ]  # fmt: skip
        options = []
        if self.flavour == "openmpi":
            options = ["--bind-to", "none", "--oversubscribe"]
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                options.append("--allow-run-as-root")
        return [self.path, "-n", str(processes), *options, *program]

    def variables(self, processes: int, threads: int) -> dict[str, str]:
        """Environment variables for the ranks: threads, and each rank's CPUs.

        Workers bind themselves, before any library counts CPUs: so the binding is the same under
        every launcher's dialect. Under srun, Slurm binds.
        """
        variables = {name: str(threads) for name in THREAD_VARIABLES}
        cpus = (bindings(processes, threads) or []) if self.kind == "mpiexec" else []
        # Set also when empty: a run inside another run must not inherit the other's binding.
        variables[BINDING] = ";".join(",".join(map(str, rank)) for rank in cpus)
        return variables


@cache
def find_launcher() -> Launcher:
    """Choose srun inside a Slurm allocation that can start our MPI library, else mpiexec.

    Raises:
        UserError: if neither can be used.
    """
    library = _mpi_library()
    flavour = "openmpi" if "Open MPI" in library else "mpich"
    srun = shutil.which("srun") if "SLURM_JOB_ID" in os.environ else None
    if srun and (plugin := _srun_plugin(srun, flavour)):
        return Launcher("srun", srun, library, flavour, plugin)
    # The launcher of our own environment first: it belongs to the library that Python is bound to.
    beside = Path(sys.executable).parent / "mpiexec"
    path = str(beside) if beside.is_file() else shutil.which("mpiexec")
    if path is None:
        raise UserError(
            "no mpiexec was found beside Python or on PATH, and no srun of a Slurm allocation; "
            "expected one of them (pip install mpich brings an mpiexec)"
        )
    return Launcher("mpiexec", path, library, flavour)


def _mpi_library() -> str:
    """The MPI library's version line, without starting MPI in this process."""
    import mpi4py

    mpi4py.rc.initialize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UserError(f"mpi4py finds no MPI library: {str(error).splitlines()[0]}") from None
    words = MPI.Get_library_version().split("\n")[0].replace("\t", " ").split()
    return " ".join(words).rstrip("\0")


def _srun_plugin(srun: str, flavour: str) -> str:
    """The best ``--mpi`` plugin that this Slurm offers for the library, or nothing."""
    try:
        result = subprocess.run(
            [srun, "--mpi=list"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    offered = (result.stdout + result.stderr).split()
    wanted = ("pmix", "pmi2") if flavour == "openmpi" else ("pmi2", "pmix")
    return next((name for name in wanted if name in offered), "")
