"""The code of each arm, taken from git into a worktree of its own.

All arms are worktrees, also that of the newest code: what lies in the same way can be compared.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError

log = logging.getLogger(__name__)

#: A commit needs an author; this one stays in nobody's history.
_NOBODY = ("-c", "user.name=harness", "-c", "user.email=harness@localhost")

OLDER, NEWER, AGAIN = "older", "newer", "again"


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        name: ``older``, ``newer`` or ``again``.
        commit: what is checked out.
        root: the worktree.
        folder: what corresponds in it to the current folder.
        study: what corresponds in it to the study's file.
    """

    name: str
    commit: str
    root: Path
    folder: Path
    study: Path


@contextlib.contextmanager
def checked_out(study: Path, revision: str, build: str = "") -> Iterator[Sequence[Arm]]:
    """Worktrees of a revision, and twice of the present code; removed at the end.

    The present code is the commit with what is changed in tracked files.

    Args:
        study: the study's file, in a git checkout.
        revision: what git calls the older code.
        build: a shell command that is run in each worktree.

    Raises:
        UserError: if the study is in no checkout, git does not know the revision, or the build
            fails.
    """
    here = study.resolve().parent
    root = Path(_git(here, "rev-parse", "--show-toplevel"))
    try:
        older = _git(root, "rev-parse", "--verify", f"{revision}^{{commit}}")
    except UserError as error:
        raise UserError(
            f"--against {revision}: expected a commit, branch or tag that git knows in {root} "
            f"({error})"
        ) from None
    _git(root, "status", "--porcelain")  # files that were touched and are the same are no change
    newer = _git(root, *_NOBODY, "stash", "create") or _git(root, "rev-parse", "HEAD")
    if untracked := _git(root, "ls-files", "--others", "--exclude-standard", "*.py"):
        log.warning("files that git does not track are no part of the comparison: %s",
                    ", ".join(untracked.splitlines()[:5]))  # fmt: skip
    current = Path.cwd().resolve()
    inside = current.relative_to(root) if current.is_relative_to(root) else Path()
    with tempfile.TemporaryDirectory(prefix="harness-compare-") as place:
        arms = []
        # Names of one length: that of a path changes what lies where in memory.
        for number, (name, commit) in enumerate(((OLDER, older), (NEWER, newer), (AGAIN, newer))):
            tree = Path(place).resolve() / f"arm-{number}"
            arms.append(Arm(name, commit, tree, tree / inside,
                            tree / study.resolve().relative_to(root)))  # fmt: skip
        try:
            for arm in arms:
                _git(root, "worktree", "add", "--detach", "--quiet", str(arm.root), arm.commit)
                arm.folder.mkdir(parents=True, exist_ok=True)
                arm.study.parent.mkdir(parents=True, exist_ok=True)
                if build:
                    _build(build, arm)
            yield arms
        finally:
            for arm in arms:
                with contextlib.suppress(UserError):
                    _git(root, "worktree", "remove", "--force", str(arm.root))


def _build(command: str, arm: Arm) -> None:
    result = subprocess.run(
        command, shell=True, cwd=arm.root, capture_output=True, text=True, errors="replace",
        check=False,
    )  # fmt: skip
    if result.returncode:
        words = (result.stderr.strip() or result.stdout.strip()).splitlines()
        last = words[-1] if words else "no output"
        raise UserError(f"--build {shlex.quote(command)} ends with {result.returncode} for the "
                        f"{arm.name} code: {last}")  # fmt: skip


def _git(folder: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"git cannot be run ({error.strerror}); expected it on PATH") from None
    if result.returncode:
        words = " ".join(result.stderr.split()) or f"exit code {result.returncode}"
        asked = [word for word in arguments if word not in _NOBODY][:2]
        raise UserError(f"git {' '.join(asked)} in {folder}: {words}")
    return result.stdout.strip()
