"""The text of job scripts: what sbatch is given, readable, and kept beside the manifest."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.launcher import MPI
from harness.slurm.manifest import Array, Manifest
from harness.slurm.site import Site

_COLLECT_MINUTES = 30


def array_script(manifest: Manifest, number: int, folder: Path, site: Site) -> str:
    """The script of one job array.

    ``exec`` puts the harness in the place of the batch shell, where Slurm's signals arrive.
    """
    array = manifest.arrays[number]
    throttle = f"%{site.throttle}" if site.throttle else ""
    options = [
        f"--job-name={manifest.study}",
        f"--array=0-{len(array.tasks) - 1}{throttle}",
        *_resources(array, site),
        f"--time={_time(array.shape.seconds)}",
        # To the batch shell alone (sbatch(1), --signal): ranks go on while we write.
        f"--signal=B:USR1@{min(site.grace_seconds, array.shape.seconds // 3)}",
        "--requeue",
        "--open-mode=append",
        f"--output={_pattern(folder / 'logs')}/{manifest.study}-%A_%a.log",
        *site.chosen(),
    ]
    command = [sys.executable, "-m", "harness", "run", "--manifest", str(folder / "manifest.json"),
               "--array", str(number), "--index"]  # fmt: skip
    last = f'exec {shlex.join(command)} "$SLURM_ARRAY_TASK_ID"'
    return _script(options, manifest.working_folder, site, [last])


def collect_script(manifest: Manifest, folder: Path, site: Site, then: Sequence[str]) -> str:
    """The script of the job that merges the launch files when all arrays have ended."""
    options = [
        f"--job-name={manifest.study}-collect",
        "--ntasks=1",
        f"--time={_time(_COLLECT_MINUTES * 60)}",
        "--requeue",
        "--open-mode=append",
        f"--output={_pattern(folder / 'logs')}/collect-%j.log",
        *site.chosen(),
    ]
    command = [sys.executable, "-m", "harness", "collect", "--manifest",
               str(folder / "manifest.json")]  # fmt: skip
    return _script(options, manifest.working_folder, site, [shlex.join(command), *then])


def site_lines(site: Site) -> list[str]:
    """Shell that makes a job's environment: modules, set-up, the wish for an MPI launcher."""
    lines = [f"module load {shlex.quote(name)} || exit 1" for name in site.modules]
    lines += site.setup
    if site.mpi:
        lines.append(f"export {MPI}={shlex.quote(site.mpi)}")
    return lines


def _resources(array: Array, site: Site) -> list[str]:
    """Whole nodes, or the cores that the largest point needs."""
    shape = array.shape
    if site.exclusive or shape.nodes > 1:
        return [f"--nodes={shape.nodes}", "--exclusive", f"--mem={site.memory or '0'}"]
    memory = [f"--mem={site.memory}"] if site.memory else []
    return [
        "--nodes=1", f"--ntasks={shape.processes}",
        f"--cpus-per-task={shape.threads_per_process}", "--threads-per-core=1", *memory,
    ]  # fmt: skip


def _script(options: Sequence[str], folder: Path, site: Site, commands: Sequence[str]) -> str:
    lines = [
        # A login shell knows `module`.
        "#!/bin/bash -l" if site.modules else "#!/bin/bash",
        *(f"#SBATCH {quoted(option)}" for option in options),
        "",
        f"cd {shlex.quote(str(folder))} || exit 1",
        *site_lines(site),
        "set -e",
        *commands,
    ]
    return "\n".join(lines) + "\n"


def quoted(option: str) -> str:
    """An option of an #SBATCH line: sbatch splits these at spaces, outside of quotes."""
    name, equals, value = option.partition("=")
    return f'{name}="{value}"' if equals and any(c in value for c in " #'\t") else option


def _pattern(folder: Path) -> str:
    """A folder in a file name pattern of sbatch, where a percent sign begins a symbol."""
    return str(folder).replace("%", "%%")


def _time(seconds: int) -> str:
    """Hours, minutes and seconds as --time takes them."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
