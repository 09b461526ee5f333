"""The README's tasks as a new user does them: in a fresh clone, each command timed.

``python tests/newcomer.py`` (``make newcomer``) prints a table in Markdown, and ends with 1 if a
command failed. It is no part of the tests: it builds an environment and runs studies.

Studies run in preset ``smoke`` unless ``--whole`` is given. What needs a Slurm cluster may fail
where there is none.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: The file that the README's reader has and the clone has not.
MODELS = """from torch import nn


def make_net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 10))
"""


@dataclass(frozen=True)
class Command:
    """A line of the README's.

    Attributes:
        task: the heading above it.
        line: as it stands there, without its comment.
        files: what is to be written before it, by name.
    """

    task: str
    line: str
    files: tuple[tuple[str, str], ...] = ()

    @property
    def needs_cluster(self) -> bool:
        """Whether it is for a login node alone."""
        return "harness submit" in self.line and "--dry-run" not in self.line


def commands(readme: str) -> Iterator[Command]:
    """The lines of blocks without a language, in order; files that others hold come with them."""
    task, files = "Start", list[tuple[str, str]]()
    for heading, language, block in re.findall(
        r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", readme, re.M | re.S
    ):
        if heading:
            task = heading
        elif language:
            files += re.findall(r"^# file: (\S+)\n(.*)", block, re.S)
        else:
            for line in block.splitlines():
                told = re.split(r"\s+#\s", line)[0].strip()
                if told and not told.startswith("git clone"):
                    yield Command(task, told, tuple(files))
                    files = []


def smaller(line: str) -> str:
    """The same in preset smoke."""
    if re.search(r"-m harness .*experiments/", line):
        return f"{line} --preset smoke"
    return line.replace("make simulation", "make simulation SIMULATION_ARGS='--processes 32'")


def main() -> None:
    """Clone, run and time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--environment", type=Path, help="an environment to use instead of a new one"
    )
    parser.add_argument("--whole", action="store_true", help="studies in their own presets")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds of a command")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        clone = Path(folder) / "sparring"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        (clone / "my_models.py").write_text(MODELS)
        if chosen.environment:
            (clone / ".venv").symlink_to(chosen.environment.resolve())
            for name in ("pyproject.toml", "constraints.txt"):
                os.utime(clone / name, (0, 0))  # older than it: make leaves it alone
        sys.exit(run(clone, chosen.whole, chosen.limit))


def run(clone: Path, whole: bool, limit: float) -> int:
    """Run the README's commands in a clone; the exit code."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "VIRTUAL_ENV"))}
    variables = {**kept, "PYTHONPATH": str(clone), "SPARRING_CACHE": str(clone / "kernels")}
    if not whole:
        variables["PRESET"] = "smoke"
    has_cluster, failed = _has_cluster(), 0
    print("| task | command | seconds | exit code |\n| --- | --- | --- | --- |", flush=True)
    for command in commands((clone / "README.md").read_text(encoding="utf-8")):
        for name, text in command.files:
            (clone / name).write_text(text, encoding="utf-8")
        line = command.line if whole else smaller(command.line)
        began = time.monotonic()
        try:
            result = subprocess.run(
                line, shell=True, cwd=clone, env=variables, timeout=limit, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            )  # fmt: skip
            code, told = result.returncode, result.stdout
        except subprocess.TimeoutExpired:
            code, told = 124, "the limit came first"
        seconds = time.monotonic() - began
        absent = command.needs_cluster and not has_cluster
        note = " (no cluster here)" if absent else ""
        print(f"| {command.task} | `{line}` | {seconds:.1f} | {code}{note} |", flush=True)
        if code and not absent:
            failed += 1
            print("\n".join(told.splitlines()[-15:]), file=sys.stderr, flush=True)
    return 1 if failed else 0


def _has_cluster() -> bool:
    """Whether a Slurm answers here."""
    sinfo = shutil.which("sinfo")
    return (
        sinfo is not None
        and not subprocess.run([sinfo], check=False, capture_output=True).returncode
    )


if __name__ == "__main__":
    main()
