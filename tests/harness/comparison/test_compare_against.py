"""`harness compare --against`: a small repository, two states of a workload's code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.comparison.arms import checked_out
from harness.errors import UserError
from harness.tables.table import read_cells
from tests.harness.studies import environment, harness, wait_until

WORKLOAD = """
from lab.pause import pause

class Pause:
    version = 1
    modules = ("lab.pause",)

    def setup(self, comm, parameters):
        pass

    def run(self):
        pause()

    def teardown(self):
        pass
"""
PAUSE = "import time\n\ndef pause():\n    time.sleep({seconds})\n"
STUDY = """
name = "pauses"
workload = "lab.workload:Pause"
[measure]
warmups = 0
[presets.smoke.measure]
launches = 1
"""


def git(folder, *arguments):
    author = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    return subprocess.run(
        ["git", *author, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def repository(tmp_path):
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "__init__.py").write_text("")
    (lab / "workload.py").write_text(WORKLOAD)
    (lab / "pause.py").write_text(PAUSE.format(seconds=0.02))
    (lab / "study.toml").write_text(STUDY)
    (tmp_path / ".gitignore").write_text("__pycache__\nresults\n")
    (tmp_path / "harness").mkdir()  # as this project's own older code has one: it is not run
    (tmp_path / "harness" / "__init__.py").write_text("raise ImportError('an older harness')")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    (tmp_path / "harness" / "__init__.py").unlink()
    (tmp_path / "harness").rmdir()
    return tmp_path


@pytest.mark.alone
def test_a_slow_down_that_is_not_even_committed_is_found(repository):
    (repository / "lab" / "pause.py").write_text(PAUSE.format(seconds=0.3))
    changes = git(repository, "status", "--porcelain")
    told = harness("compare", "--against", "HEAD", "lab/study.toml", "--preset", "smoke",
                   cwd=repository)  # fmt: skip
    assert told.returncode == 1, told.stderr
    assert "as many rounds as verdicts need" in told.stdout
    assert "6 rounds, ended by rounds" in told.stdout
    (folder,) = (repository / "results" / "comparisons").iterdir()
    _, (verdict,) = read_cells(folder / "verdicts.csv", ())
    assert verdict["verdict"] == "slower"
    assert float(verdict["low"]) > 3
    arms = {}
    for name in ("older", "newer", "again"):
        _, rows = read_cells(folder / name / "pauses.csv", ())
        assert [row["launch_round"] for row in rows].count("0") == 1
        assert len(rows) == 6
        (arms[name],) = {row["environment"] for row in rows}
    assert arms["newer"] == arms["again"] != arms["older"]
    assert git(repository, "worktree", "list").count("\n") == 1
    assert git(repository, "status", "--porcelain") == changes


def test_a_file_that_was_touched_is_no_change(repository):
    """`git stash create` fails without a word where only the time of a file is another."""
    git(repository, "checkout", "--quiet", "--", ".")  # the folder that the fixture took away
    os.utime(repository / "lab" / "pause.py", (0, 0))
    with checked_out(repository / "lab/study.toml", "HEAD") as arms:
        assert arms[0].commit == arms[1].commit


def test_what_is_checked_out_is_gone_whatever_happens(repository):
    roots = []

    def use():
        with checked_out(repository / "lab/study.toml", "HEAD") as arms:
            roots.extend(arm.root for arm in arms)
            assert all((root / "lab" / "pause.py").is_file() for root in roots)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert len({len(str(root)) for root in roots}) == 1
    assert not any(root.exists() for root in roots)
    assert git(repository, "worktree", "list").count("\n") == 1


@pytest.mark.ranks
def test_a_comparison_that_is_terminated_leaves_no_worktree(repository):
    (repository / "lab" / "pause.py").write_text(PAUSE.format(seconds=60))
    running = subprocess.Popen(
        [sys.executable, "-m", "harness", "compare", "--against", "HEAD", "lab/study.toml"],
        cwd=repository, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    under_way = "results/comparisons/*/*/launches/pauses/.running/*/*"
    assert wait_until(lambda: any(repository.glob(under_way)))
    assert git(repository, "worktree", "list").count("\n") == 4
    running.terminate()
    _, told = running.communicate(timeout=60)
    assert running.returncode == 143
    assert "Traceback" not in told
    assert git(repository, "worktree", "list").count("\n") == 1
    assert not any(repository.glob(under_way))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--against", "nonesuch"), "--against nonesuch: expected a commit, branch or tag"),
        (
            ("--against", "HEAD", "--build", "echo no tools; exit 3"),
            "ends with 3 for the older code",
        ),
        (("--against", "HEAD", "--emulate", "2"), "--emulate and --against are given"),
        (("--against", "HEAD", "--set", "colour=3"), "colour"),
        ((), "expected two tables, or --against and a study"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_sentence(repository, arguments, expected):
    told = harness("compare", "lab/study.toml", *arguments, cwd=repository)
    assert told.returncode == 2
    assert expected in told.stderr
    assert "Traceback" not in told.stderr
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_study_that_is_in_no_checkout(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    with pytest.raises(UserError, match="not a git repository"), \
            checked_out(tmp_path / "study.toml", "HEAD"):  # fmt: skip
        pass
