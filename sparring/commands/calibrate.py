"""``python -m sparring calibrate``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparring.benchmark.machine import cores
from sparring.commands import options
from sparring.commands.option_types import FiniteRange, Name
from sparring.errors import SparringError
from sparring.outputs import check_outputs

if TYPE_CHECKING:
    from sparring.modelling.calibration.calibration import Calibration

#: Some launcher sets one of these in every process that it starts.
_RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_STEP_ID")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@click.command()
@options.network("study", "madry")
@options.backend()
@click.option("--dtype", type=Name(["float32", "float64"]), default="float32", show_default=True)
@click.option(
    "--batch-size",
    "batch_sizes",
    type=click.IntRange(1),
    multiple=True,
    help="Images in a call; may be given several times [default: 1, 2, 4 ... 128].",
)
@click.option(
    "--seconds",
    type=FiniteRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="How long computing is measured; slowdown and messages take some more.",
)
@options.results("The calibration becomes a new file in its folder calibration.")
def calibrate(results: Path, batch_sizes: tuple[int, ...], **chosen: Any) -> None:
    """Measure what emulation and simulation take as given, and keep it as a file.

    Started by itself, it starts a process for each core of this machine. Under mpiexec or srun it
    measures on the ranks that there are: two on the first node at least, and messages between
    nodes where there are several.

    \b
    python -m sparring calibrate
    mpiexec -n 4 python -m sparring calibrate --backend torch
    srun --nodes 2 --ntasks-per-node 2 python -m sparring calibrate

    No file is overwritten. Of several for one machine, network, dtype and backend the newest counts.
    """  # noqa: D301, E501 (click's mark for a paragraph that is not rewrapped)
    if not any(name in os.environ for name in _RANK_VARIABLES):
        sys.exit(_start_ranks(max(2, cores())))
    from mpi4py import MPI

    from sparring.modelling.calibration.files import keep
    from sparring.modelling.calibration.measure import BATCH_SIZES, Wanted
    from sparring.modelling.calibration.measure import calibrate as measure

    comm, folder = MPI.COMM_WORLD, results / "calibration"
    check_outputs({"--results": folder / "calibration.json"}, make_folders=True, comm=comm)
    wanted = Wanted(batch_sizes=tuple(sorted(set(batch_sizes))) or BATCH_SIZES, **chosen)
    found = measure(comm, wanted, lambda line: click.echo(f"measuring {line}"))
    if comm.rank == 0:
        click.echo(summary(found))
        path = keep(found, folder)
        click.echo(f"calibration: {path}")


def _start_ranks(processes: int) -> int:
    """This very command on so many ranks; its exit code."""
    # The launcher of our own environment first: it belongs to the library that mpi4py is bound to.
    beside = Path(sys.executable).parent / "mpiexec"
    program = str(beside) if beside.is_file() else shutil.which("mpiexec")
    if program is None:
        raise SparringError(
            "no mpiexec was found beside Python or on PATH; expected one, or to be started on 2 "
            "processes or more, as by srun -n 2 python -m sparring calibrate"
        )
    command = [program, "-n", str(processes), sys.executable, "-m", "sparring", *sys.argv[1:]]
    variables = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, "1")}
    return subprocess.run(command, env=variables, check=False).returncode


def summary(found: Calibration) -> str:
    """The calibration in a few lines: medians, with the quartiles of computing."""
    import numpy as np

    lines = [
        f"{found.name}: {found.network}, initial weights, {found.dtype}, {found.backend}",
        "images   prepare / ms  step / ms (quartiles)        gradients / ms   loss / ms",
    ]
    for work in found.work:
        low, high = np.percentile(work.step.samples or [work.step.median], [25, 75]) * 1e3
        lines.append(
            f"{work.batch_size:6}  {work.prepare.median * 1e3:13.3f}  "
            f"{work.step.median * 1e3:9.3f} ({low:.3f} to {high:.3f})  "
            f"{work.gradients.median * 1e3:18.3f}  {work.loss.median * 1e3:10.3f}"
        )
    for name in ("apply", "read_weights", "write_weights", "window_put", "window_get", "probe"):
        lines.append(f"{name.replace('_', ' ')}: {getattr(found, name).median * 1e3:.4f} ms")
    factors = ", ".join(f"{s.active_cores}: {s.factor:.3f}" for s in found.slowdown)
    lines.append(f"slowdown by active cores: {factors}")
    for name, link in (("within a node", found.within), ("between nodes", found.between)):
        if link is not None:
            told = ", ".join(f"{m.bytes} B {m.seconds.median * 1e6:.1f} us" for m in link.messages)
            lines.append(f"messages {name}: {told}")
    for name in ("allreduce", "shared_reduction", "broadcast"):
        told = ", ".join(
            f"{c.processes} x {c.bytes} B {c.seconds.median * 1e6:.1f} us"
            for c in getattr(found, name)
        )
        lines.append(f"{name.replace('_', ' ')}: {told}")
    return "\n".join(lines)
