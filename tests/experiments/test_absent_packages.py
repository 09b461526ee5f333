"""Commands without the packages of the extras: one sentence, and no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Runs modules one after another, in an interpreter in which some packages cannot be imported.
PROGRAM = """
import runpy, sys, traceback

names, commands = set(sys.argv[1].split(",")), sys.argv[2:]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for command in commands:
    module, *arguments = command.split()
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        print(command, "=>", ended.code, flush=True)
    except BaseException:
        print(command, "=>", traceback.format_exc().splitlines()[-1], flush=True)
"""
MODELS = "capstone,osaca,pydantic,scipy,simpy"
TABLES = "altair,jinja2,markupsafe,matplotlib,pydantic,scipy,vl_convert"


@pytest.mark.parametrize(
    ("absent", "extra", "commands"),
    [
        (MODELS, "models", [
            "experiments.advice calibration.json",
            "experiments.simulated results/strategies.csv",
            "experiments.simulation",
            "kernels measure",
        ]),
        (TABLES, "plots", ["plots --help", "plots scaling results/strong_scaling.csv"]),
    ],
)  # fmt: skip
def test_a_command_names_the_extra_that_it_lacks(absent, extra, commands):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, absent, *commands],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = result.stdout.splitlines()
    assert len(told) == len(commands)
    for line, command in zip(told, commands, strict=True):
        assert line.startswith(f"{command} => error: "), line
        assert line.endswith(f" is not installed: pip install 'sparring[{extra}]'"), line


def test_what_is_imported_late_is_told_of_as_well():
    """Of `experiments.virtual`, which imports its model of the machine when it is called."""
    command = "experiments.virtual --processes 1 --out table.csv"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, MODELS, command], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{command} => 2\n"
    assert result.stderr == "error: pydantic is not installed: pip install 'sparring[models]'\n"
