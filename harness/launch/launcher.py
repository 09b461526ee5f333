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
from harness.launch.binding import BINDING
from harness.machine import bindings, machine_cores, node_cores, node_count

#: Environment variable that chooses how ranks start inside a Slurm allocation: a plugin of
#: ``srun --mpi=list``, or ``mpiexec``. Unset, it is found out.
MPI = "HARNESS_MPI"

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

    def command(
        self, processes: int, threads: int, program: list[str], nodes: int = 0
    ) -> list[str]:
        """The command line that starts ``program`` on ``processes`` ranks.

        ``nodes`` spreads them over so many nodes; 0 takes as few as have the cores.
        """
        if self.kind == "srun":
            return [*self._srun(processes, threads, nodes), *program]
        options = []
        if self.flavour == "openmpi":
            options = ["--bind-to", "none", "--oversubscribe"]
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                options.append("--allow-run-as-root")
            if nodes > 1:
                options += ["--map-by", f"ppr:{-(-processes // nodes)}:node"]
        elif nodes > 1:
            options = ["-ppn", str(-(-processes // nodes))]
        return [self.path, "-n", str(processes), *options, *program]

    def _srun(self, processes: int, threads: int, nodes: int) -> list[str]:
        # A core for each thread (srun(1): --threads-per-core=1 leaves hyperthreads idle), ranks
        # filling one node after another; without it srun takes every node of the allocation.
        fits = processes * threads <= machine_cores()
        few = min(node_count(), -(-processes * threads // node_cores()))
        bound = ["--threads-per-core=1", "--cpu-bind=cores", "--distribution=block:block"]
        return [
            self.path, f"--nodes={nodes or few}", f"--ntasks={processes}",
            f"--cpus-per-task={threads}", f"--mpi={self.mpi_plugin}",
            *(bound if fits else ["--cpu-bind=none", "--overcommit"]),
            *([f"--ntasks-per-node={-(-processes // nodes)}"] if nodes > 1 else []),
            "--kill-on-bad-exit=1", "--unbuffered",
        ]  # fmt: skip

    @property
    def grace_seconds(self) -> float:
        """Seconds that the launcher needs to end its ranks on all nodes (process.run)."""
        return 5.0 if self.kind == "srun" else 0.0

    def variables(self, processes: int, threads: int, first_core: int = 0) -> dict[str, str]:
        """Environment variables for the ranks: threads, and each rank's CPUs from a core on.

        Workers bind themselves, before any library counts CPUs: so the binding is the same under
        every launcher's dialect. Under srun, Slurm binds where its administrator let it.
        """
        variables = {name: str(threads) for name in THREAD_VARIABLES}
        cpus = (bindings(processes, threads, first_core) or []) if self.kind == "mpiexec" else []
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
    wish = os.environ.get(MPI, "")
    srun = shutil.which("srun") if os.environ.get("SLURM_JOB_ID") and wish != "mpiexec" else None
    if srun and (plugin := wish or _srun_plugin(srun, flavour)):
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
        raise UserError(
            f"mpi4py finds no MPI library ({str(error).splitlines()[0]}); expected the one of "
            "`make setup`, or the site's module to be loaded (docs/cluster.md)"
        ) from None
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
