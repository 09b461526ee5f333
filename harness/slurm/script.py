"""The text of job scripts: what sbatch is given, readable, and kept beside the manifest."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.launch.launcher import MPI
from harness.slurm.site import Site
from harness.submission.manifest import Array, Manifest

_COLLECT_MINUTES = 30


def array_script(manifest: Manifest, number: int, folder: Path, site: Site) -> str:
    """The script of one job array.

    ``exec`` puts the harness in the place of the batch shell, where Slurm's signals arrive.
    """
    array = manifest.arrays[number]
    log, redirection = _output(folder, f"{manifest.study}-%A_%a.log")
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
        f"--output={log}",
        *site.chosen(),
    ]
    command = [sys.executable, "-m", "harness", "run", "--manifest", str(folder / "manifest.json"),
               "--array", str(number), "--index"]  # fmt: skip
    last = f'exec {shlex.join(command)} "$SLURM_ARRAY_TASK_ID"'
    return _script(options, redirection, manifest.working_folder, site, [last])


def collect_script(manifest: Manifest, folder: Path, site: Site, then: Sequence[str]) -> str:
    """The script of the job that merges the launch files when all arrays have ended."""
    log, redirection = _output(folder, "collect-%j.log")
    options = [
        f"--job-name={manifest.study}-collect",
        "--ntasks=1",
        f"--time={_time(_COLLECT_MINUTES * 60)}",
        "--requeue",
        "--open-mode=append",
        f"--output={log}",
        *site.chosen(),
    ]
    command = [sys.executable, "-m", "harness", "collect", "--manifest",
               str(folder / "manifest.json")]  # fmt: skip
    return _script(options, redirection, manifest.working_folder, site,
                   [shlex.join(command), *then])  # fmt: skip


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


def _script(
    options: Sequence[str], redirection: Sequence[str], folder: Path, site: Site,
    commands: Sequence[str],
) -> str:  # fmt: skip
    lines = [
        # A login shell knows `module`.
        "#!/bin/bash -l" if site.modules else "#!/bin/bash",
        *(f"#SBATCH {quoted(option)}" for option in options),
        "",
        *redirection,
        f"cd {shlex.quote(str(folder))} || exit 1",
        *site_lines(site),
        "set -e",
        *commands,
    ]
    return "\n".join(lines) + "\n"


def quoted(option: str) -> str:
    """An option of an #SBATCH line, where sbatch reads quotes and backslashes as a shell does."""
    name, equals, value = option.partition("=")
    if not equals or re.fullmatch(r"[\w@%+=:,./-]*", value):
        return option
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'{name}="{escaped}"'


def _output(folder: Path, name: str) -> tuple[str, list[str]]:
    """Where sbatch writes a job's output, and shell that writes it elsewhere, where it cannot.

    In a file name pattern a backslash turns off all symbols (sbatch(1), "FILENAME PATTERN"), and
    no #SBATCH line goes on in the next.
    """
    logs = str(folder / "logs")
    if "\\" not in logs and "\n" not in logs:
        return f"{logs.replace('%', '%%')}/{name}", []
    variables = {"%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%j": "SLURM_JOB_ID"}
    for symbol, variable in variables.items():
        name = name.replace(symbol, f"${{{variable}}}")
    return "/dev/null", [f'exec >>{shlex.quote(logs)}/"{name}" 2>&1']


def _time(seconds: int) -> str:
    """Hours, minutes and seconds as --time takes them."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
