"""What make's targets give to the commands: folders of any name, each as one argument."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ("strong-scaling", "weak-scaling", "strategies", "staleness", "robustness", "openmp")
TARGETS = (*STUDIES, "gallery", "roofline", "simulation", "virtual", "report", "bench")

#: Stands for Python, and notes what it was given.
STUB = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    told = {"arguments": sys.argv[1:], "data": os.environ.get("SPARRING_DATA")}
    file.write(json.dumps(told) + "\\n")
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def calls(tmp_path, target, **variables):
    """What Python was called with."""
    python, log = tmp_path / "bin" / "python", tmp_path / "calls"
    python.parent.mkdir(exist_ok=True)
    python.write_text(STUB)
    python.chmod(0o755)
    for name in ("ready", "dev"):
        (tmp_path / name).touch()
    log.unlink(missing_ok=True)
    settings = {"BIN": python.parent, "READY": tmp_path / "ready", "DEV": tmp_path / "dev"}
    given = [f"{name}={value}" for name, value in (settings | variables).items()]
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "SPARRING_DATA", "DATA")}
    result = subprocess.run(
        ["make", "--silent", target, *given], cwd=ROOT, env={**kept, "CALLS": str(log)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["my results", "a\"b 'c' \\d $e `f` #g;h,i (j)*"])
def test_folders_are_one_argument_each(tmp_path, target, name):
    results, data = tmp_path / name, tmp_path / f"data {name}"
    results.mkdir()
    data.mkdir()
    made = calls(tmp_path, target, RESULTS=results, DATA=data, CHECKPOINT=f"{data}/x.pt",
                 PRESET="smoke", EMULATE="4")  # fmt: skip
    named = [a for call in made for a in call["arguments"] if tmp_path.name in a]
    allowed = (str(results), f"{results}/", f"{data}/", f"--benchmark-storage=file://{results}/")
    assert named
    assert all(argument == allowed[0] or argument.startswith(allowed[1:]) for argument in named)
    for call in made:
        words = call["arguments"]
        assert all(words[i + 1] == str(results) for i, w in enumerate(words) if w == "--results")
    if target in (*STUDIES, "gallery", "virtual", "bench"):
        assert str(data) in [call["data"] for call in made]


def test_data_that_is_absent_is_a_sentence(tmp_path):
    ready = tmp_path / "ready"
    ready.touch()
    result = subprocess.run(
        ["make", "--silent", "robustness", 'DATA=no "such" folder', f"READY={ready}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = 'error: DATA=no "such" folder: no such folder; expected one with the four IDX files'
    assert result.returncode == 2
    assert told in result.stderr


def test_a_python_that_is_too_old_is_a_sentence(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = subprocess.run(
        ["make", "--silent", "setup", f"PYTHON={old}", f"VENV={tmp_path}/venv"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    told = f"error: {old} is no Python 3.11 or newer; expected one: make PYTHON=/path/to/python3.12"
    assert told in result.stderr
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert told.replace(str(old), "python3.9") in page
