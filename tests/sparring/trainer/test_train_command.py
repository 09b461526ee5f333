"""`sparring train`, and the script of the README."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.launch.launcher import find_launcher
from sparring.checkpoint import load
from sparring.commands.cli import main
from sparring.strategies.replay import load_arrivals
from tests import forked
from tests.mpi import run_ranks

ROOT = Path(__file__).parents[3]


def test_the_readmes_script_runs_unchanged_on_two_ranks():
    """On one process `make package` runs it, on the engine as users get it."""
    script = ROOT / "examples" / "train.py"
    assert len(script.read_text().splitlines()) <= 25
    assert script.read_text() in (ROOT / "README.md").read_text()
    command = [find_launcher().path, "-n", "2", *forked.rank_command(), script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "processes: 2," in result.stdout
    assert float(result.stdout.split("robust accuracy")[1]) > 0.5  # chance is 0.1


def test_the_command_line_tells_how_many_images_there_were():
    result = CliRunner().invoke(
        main, ["train", "--updates", "1", "--attack", "fgsm", "--evaluate", "5000000"]
    )
    assert "(first 1000 test images, " in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--strategy", "foo"], "Invalid value for '--strategy'"),
        (["--strategy", "pipeline", "--option", "credits=0"], "credits must be at least 1"),
        (["--strategy", "pipeline", "--option", "foo=1"], "expected key=value with an option"),
        (["--strategy", "pipeline", "--option", "credits=abc"], "credits must be an integer"),
        (["--strategy", "sharded", "--option", "overlap=maybe"], "overlap must be true or false"),
        (["--strategy", "sharded", "--option", "trainer_share=2"], "must be within 0 to 1"),
        (["--checkpoint", "nowhere/a.pt"], "nowhere/a.pt: cannot be written"),
        (["--timeline", "nowhere/a.json"], "nowhere/a.json: cannot be written"),
        (["--arrivals", "nowhere/a.jsonl"], "nowhere/a.jsonl: cannot be written"),
        (["--dataset", "imagenet"], "Invalid value for '--dataset'"),
        (["--epochs", "1", "--updates", "1"], "not both"),
        (["--resume"], "resume needs the checkpoint"),
        (["--replay", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--optimizer", "adam"], "--optimizer adam needs --learning-rate"),
        (
            ["--optimizer", "adam", "--learning-rate", "0.1", "--momentum", "0.1"],
            "--momentum has no meaning with --optimizer adam",
        ),
        (
            ["--replay", "nowhere.jsonl", "--option", "credits=2"],
            "expected key=value with an option of 'replay'",
        ),
        (
            [
                "--attack",
                "fgsm",
                "--strategy",
                "sharded",
                "--option",
                "overlap=true",
                "--option",
                "refresh_steps=1",
            ],
            "adversaries cannot be refreshed: FGSM has no further steps",
        ),
    ],
)
def test_the_command_line_refuses_in_a_sentence(arguments, sentence):
    result = CliRunner().invoke(main, ["train", *arguments])
    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_the_command_line_trains(tmp_path):
    state, arrivals = str(tmp_path / "state.pt"), str(tmp_path / "arrivals.jsonl")
    arguments = ["train", "--updates", "3", "--steps", "1", "--batch-size", "8", "--evaluate", "10",
                 "--checkpoint", state, "--arrivals", arrivals]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "3 updates in" in result.output
    assert "backend torch" in result.output
    assert "robust accuracy" in result.output
    assert len(load_arrivals(Path(arrivals))) == 3
    assert load(Path(state)).updates == 3


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="no C++ compiler")
@pytest.mark.compiler
def test_the_command_line_trains_on_the_fused_engine():
    arguments = ["train", "--updates", "2", "--steps", "2", "--batch-size", "8", "--evaluate", "0"]
    result = CliRunner().invoke(main, [*arguments, "--backend", "fused"])
    assert result.exit_code == 0, result.output
    assert "backend fused" in result.output


def test_the_command_line_says_why_the_fused_engine_cannot_serve(monkeypatch):
    monkeypatch.setenv("SPARRING_ISA", "mmx")
    result = CliRunner().invoke(main, ["train", "--updates", "1", "--backend", "fused"])
    assert result.exit_code == 2
    (sentence,) = result.output.splitlines()
    assert sentence.startswith("error: the fused engine cannot serve this model: SPARRING_ISA=mmx")


@pytest.mark.parametrize("arguments", [["train", "--wrong"], ["--wrong"], ["trian"]])
def test_what_all_ranks_complain_of_is_said_once(arguments):
    result = subprocess.run(
        [find_launcher().path, "-n", "2", sys.executable, "-m", "sparring", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.count("Error: No such ") == result.stderr.count("Usage: ") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("attack", [["--steps", "1"], ["--recipe", "fast"]])
def test_ranks_that_would_have_nothing_to_do_are_told_of_once(attack):
    arguments = [*attack, "--strategy", "data_parallel", "--batch-size", "1", "--updates", "1",
                 "--evaluation-images", "0"]  # fmt: skip
    told = run_ranks(2, ["-m", "sparring", "train", *arguments])
    assert told.count("minibatches of 1 image leave 1 of 2 processes nothing to do") == 1
    assert "1 updates in" in told
