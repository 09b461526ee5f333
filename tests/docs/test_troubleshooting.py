"""docs/troubleshooting.md: every sentence is provoked here, and stands there as it is printed."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pooch
import pytest
import torch
from click.testing import CliRunner
from mpi4py import MPI
from torch import nn

import sparring
from harness import errors as harness_errors
from harness.cli import EXTRA
from harness.cli import main as harness
from harness.launch.launcher import find_launcher
from sparring import errors
from sparring.commands.cli import main as command_line
from sparring.errors import SparringError
from sparring.strategies import Sequential
from sparring.strategies.choice import choose

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text().split())
STUDY = """name = "mine"
[command]
run = "true"
launcher = false
[measure]
{key} = 3
[presets.smoke]
[presets.laptop]
"""


def printed(command, *arguments):
    """What the last lines of stderr say, on one line."""
    result = CliRunner().invoke(command, list(map(str, arguments)))
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    told = result.stderr.split("help.\n")[-1]
    return " ".join(told.split())


def stands(sentence):
    return " ".join(sentence.split()) in PAGE


@pytest.fixture
def nothing_on_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "kernels"))


def test_a_python_without_packages(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    lacking = ModuleNotFoundError("No module named 'click'", name="click")
    assert stands(f"error: {errors.absent(lacking)}")
    assert errors.absent(lacking) == harness_errors.absent(lacking, (), "")
    assert errors.absent(ModuleNotFoundError("No module named 'mine'", name="mine")) is None


@pytest.mark.parametrize("absent", [errors.absent, lambda e: harness_errors.absent(e, (), "")])
def test_an_environment_that_lost_a_package(monkeypatch, absent):
    monkeypatch.setattr(sys, "executable", ".venv/bin/python")
    monkeypatch.setattr(sys, "prefix", "/home/you/sparring/.venv")
    lacking = ModuleNotFoundError("No module named 'mpi4py'", name="mpi4py")
    assert stands(f"error: {absent(lacking)}")


@pytest.mark.parametrize("absent", [errors.absent, lambda e: harness_errors.absent(e, (), "")])
def test_a_python_that_is_too_old(monkeypatch, absent):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr("platform.python_version", lambda: "3.9.18")
    assert stands(f"error: {absent(ImportError('cannot import name', name='datetime'))}")


def test_an_extra_that_is_absent():
    lacking = ModuleNotFoundError("No module named 'pydantic'", name="pydantic")
    assert stands(f"error: {harness_errors.absent(lacking, EXTRA, 'harness')}")


def test_no_mpiexec(tmp_path, monkeypatch, nothing_on_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(harness_errors.UserError) as caught:
        find_launcher.__wrapped__()
    assert stands(f"error: {caught.value}")


def test_no_mpi_library(monkeypatch):
    class Absent:
        rc = type("rc", (), {})

        def __getattr__(self, name):
            raise RuntimeError("cannot load MPI library\nmore lines")

    monkeypatch.setitem(sys.modules, "mpi4py", Absent())
    with pytest.raises(harness_errors.UserError) as caught:
        find_launcher.__wrapped__()
    assert stands(f"error: {caught.value}")


def test_a_launcher_of_another_mpi():
    """mpi4py tells of it by itself."""
    ours = MPI.get_vendor()[0]
    other = "PMI_SIZE" if ours == "Open MPI" else "OMPI_COMM_WORLD_SIZE"
    result = subprocess.run(
        [sys.executable, "-c", "from mpi4py import MPI"], env={**os.environ, other: "4"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = result.stderr.splitlines()[-1]
    assert told.startswith("You may be using `mpiexec`")
    assert stands(told)


def test_mnist_that_is_absent(tmp_path, monkeypatch):
    def retrieve(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    told = printed(command_line, "train", "--dataset", "mnist")
    assert stands(told.replace(str(tmp_path), "/home/you"))
    assert stands(printed(command_line, "train", "--dataset", "mnist", "--data", "mnits"))
    (tmp_path / "mnits").mkdir()
    told = printed(command_line, "train", "--dataset", "mnist", "--data", "mnits")
    assert told.startswith("error: mnits: lacks train-images-idx3-ubyte[.gz]; expected the four")


def test_a_strategy_that_is_not_known():
    assert stands(printed(command_line, "train", "--strategy", "data-parallel"))


def test_a_sequence_of_two_processes():
    with pytest.raises(errors.SparringError) as caught:
        Sequential().check(2)
    assert stands(f"error: {caught.value}")


def test_a_pipeline_of_one_process(caplog):
    with caplog.at_level(logging.WARNING):
        choose("pipeline", 1)
    assert stands(f"WARNING: {caplog.messages[0]}")


def test_keys_and_presets_that_are_not_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Path("mine.toml")
    study.write_text(STUDY.format(key="lanches"))
    assert stands(printed(harness, "plan", study))
    study.write_text(STUDY.format(key="launches"))
    assert stands(printed(harness, "plan", study, "--preset", "smok"))
    told = printed(harness, "plan", ".")
    assert told == "error: .: is a folder; expected a study in TOML"
    told = printed(harness, "plan", "mime.toml")
    assert told == (
        "error: mime.toml: no such file; expected a study in TOML; did you mean 'mine.toml'?"
    )


def trainer(model, data):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    attack = sparring.FGSM(epsilon=0.1, backend="torch")
    return sparring.Trainer(model, optimizer, data, attack, batch_size=4, backend="torch")


def test_a_model_that_the_data_do_not_fit():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(5408, 10))
    with pytest.raises(SparringError) as caught:
        trainer(model, sparring.data.load("mnist-5k")).fit(updates=1)
    assert stands(f"sparring.errors.SparringError: {caught.value}")
    assert model.training


def test_a_failure_that_is_not_the_shapes_keeps_its_own_words():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))  # too few classes
    with pytest.raises(SparringError, match=r"^rank 0 failed in .* labels below 2"):
        trainer(model, sparring.data.load("mnist-5k")).fit(updates=1)


def test_one_process_alone_is_no_rank():
    """What the library itself complains of stands alone; nobody asks which rank it was."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.constant_(model[1].weight, float("inf"))
    with pytest.raises(SparringError, match=r"^training diverged: "):
        trainer(model, sparring.data.load("mnist-5k")).fit(updates=1)


def test_images_that_are_bytes():
    images, labels = torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
    with pytest.raises(SparringError) as caught:
        trainer(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), (images, labels))
    assert stands(f"sparring.errors.SparringError: {caught.value}")


def test_a_model_that_the_engine_refuses():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(1))
    with pytest.raises(SparringError) as caught:
        sparring.compile(model)
    assert stands(f"error: {caught.value}")


def test_no_compiler(caplog, monkeypatch, nothing_on_path):
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)  # `tests/conftest.py` has tests on torch
    model = sparring.networks.build("study", 0)
    with caplog.at_level(logging.WARNING):
        sparring.FGSM(epsilon=0.1)(model, torch.rand(1, 1, 28, 28), torch.tensor([1]))
    assert stands(f"WARNING: {caplog.messages[0]}")


def test_results_that_cannot_be_written(tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/shared/results")

    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY.format(key="launches"))
    monkeypatch.setattr("harness.run.session.expand", read_only)
    assert stands(printed(harness, "run", "mine.toml", "--results", "results"))


def test_a_point_that_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY.format(key="launches").replace('"true"', '"false"'))
    result = CliRunner().invoke(harness, ["run", "mine.toml", "--results", "results"])
    assert result.exit_code == 1
    assert stands(result.stderr.splitlines()[-1])


def test_nothing_else_is_shown_as_printed():
    """As many sentences on the page as are provoked here."""
    text = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
    blocks = "".join(re.findall(r"^```\n(.*?)^```", text, re.M | re.S))
    heads = re.findall(r"^(?:error|Error|WARNING|sparring\.errors\.SparringError): ", blocks, re.M)
    assert len(heads) == 19
