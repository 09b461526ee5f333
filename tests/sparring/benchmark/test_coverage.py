"""The command ``python -m sparring networks``."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys

import pytest
from click.testing import CliRunner
from torch import nn

from sparring.benchmark import coverage
from sparring.benchmark.competitors import BUILDERS
from sparring.benchmark.coverage import Timing
from sparring.commands.cli import main


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def refused():
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Hardswish(), nn.Linear(4, 3))


def failing():
    raise RuntimeError("two\nlines")


def one_class():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 1))


def pair():
    return nn.LSTM(784, 3)  # which returns a tuple


def invoke(*arguments):
    return CliRunner().invoke(main, ["networks", *map(str, arguments)])


def rows(folder):
    with (folder / "networks.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


OWN = f"{__name__}:"


@pytest.mark.compiler
def test_own_network_is_timed_in_turns(tmp_path, monkeypatch):
    absent = dataclasses.replace(BUILDERS["torchattacks"], package="no-such-package")
    monkeypatch.setattr(coverage, "BUILDERS", {**BUILDERS, "torchattacks": absent})
    result = invoke(
        "--model", OWN + "small", "--input-shape", "1,2,3", "--time", "--rounds", 3,
        "--batch-size", 2, "--steps", 2, "--results", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = rows(tmp_path)
    assert [row["round"] for row in found] == ["0", "1", "2"] * 2
    assert {row["competitor"] for row in found} == {"fused", "plain"}
    assert all(float(row["seconds"]) > 0 for row in found)
    assert {(row["parameters"], row["attacks"], row["updates"]) for row in found} == {
        ("43", "engine", "engine")
    }


def test_a_network_that_is_refused_has_its_reason(tmp_path):
    result = invoke(
        "--model", OWN + "refused", "--input-shape", "1,2,3", "--time", "--results", tmp_path
    )
    assert result.exit_code == 0, result.output
    (row,) = rows(tmp_path)
    assert (row["attacks"], row["seconds"]) == ("PyTorch", "")
    assert "Hardswish" in row["reason"]


@pytest.mark.compiler
def test_gradients_are_checked(tmp_path, monkeypatch):
    arguments = ("--model", OWN + "small", "--input-shape", "1,2,3", "--check")
    result = invoke(*arguments, "--results", tmp_path)
    assert result.exit_code == 0, result.output
    assert "of 85" in result.output
    monkeypatch.setattr("sparring.fused.precision.BOUND", 1e-12)
    result = invoke(*arguments, "--results", tmp_path)
    assert result.exit_code == 1
    assert f"gradients of {OWN}small are off by 1e-12" in result.output


def test_a_network_that_cannot_be_checked_fails_the_check(tmp_path):
    arguments = ("--model", OWN + "refused", "--input-shape", "1,2,3", "--results", tmp_path)
    assert invoke(*arguments).exit_code == 0
    result = invoke(*arguments, "--check")
    assert result.exit_code == 1
    assert f"the engine refuses {OWN}refused, so that nothing was checked" in result.stderr


@pytest.mark.compiler
def test_the_answer_for_programs(tmp_path):
    arguments = ("--input-shape", "1,2,3", "--check", "--json", "--results", tmp_path)
    result = invoke("--model", OWN + "small", *arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout, parse_constant=pytest.fail)
    (network,) = told["networks"]
    assert (network["attacks"], network["updates"], network["time"]) == ("engine", "engine", None)
    assert network["check"]["acceptable"] is True
    assert told["table"] == str(tmp_path / "networks.csv")
    result = invoke("--model", OWN + "refused", *arguments)
    assert result.exit_code == 1
    (network,) = json.loads(result.stdout)["networks"]
    assert (network["attacks"], network["check"]) == ("PyTorch", None)
    assert "Hardswish" in network["reason"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--network", "AlexNet"], "no network of the corpus begins so"),
     (["--model", "nowhere:net"], "expected module:callable"),
     (["--model", "json"], "--model json: expected module:callable\n"),
     (["--model", ".json:net"], "--model .json:net: expected module:callable (the 'package'"),
     (["--model", OWN + "OWN"], "is not callable"),
     (["--model", OWN + "small", "--input-shape", "9" * 20], "expected at most 100,000,000"),
     (["--model", OWN + "small", "--input-shape", "2x3"], "expected channels,height,width"),
     (["--model", OWN + "small", "--network", "VGG"], "not both")],
)  # fmt: skip
def test_bad_input_is_a_sentence(tmp_path, arguments, told):
    result = invoke(*arguments, "--results", tmp_path)
    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / "networks.csv").exists()


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [("failing", "784", "got RuntimeError: two lines (" + __file__ + ", line "),
     ("pair", "784", "pair: the model must return logits, a tensor of shape (images, classes"),
     ("one_class", "1,28,28", "one_class: the model must return logits of shape (2, classes)")],
)  # fmt: skip
def test_what_is_no_network_is_no_row(tmp_path, name, shape, told):
    result = invoke("--model", OWN + name, "--input-shape", shape, "--results", tmp_path)
    assert result.exit_code == 2
    assert told in result.output
    assert rows(tmp_path) == []


def test_a_module_of_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_own_models.py").write_text("from torch.nn import Linear as net")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])  # as of a script
    result = invoke("--model", "my_own_models:net", "--results", tmp_path)
    assert "error: my_own_models:net: expected a torch.nn.Module, got TypeError" in result.stderr


def test_a_model_that_cannot_take_the_shape_is_no_refusal_of_the_engines(tmp_path):
    result = invoke("--model", OWN + "small", "--input-shape", "1,5,5", "--results", tmp_path)
    assert result.exit_code == 2
    told = f"error: {OWN}small: the model cannot take images of shape (1, 5, 5): mat1 and mat2"
    assert told in result.stderr
    assert rows(tmp_path) == []


def test_ratios_are_those_of_rounds():
    timing = Timing([1.0, 2.0, 4.0], [3.0, 4.0, 20.0], "plain")
    assert timing.ratios == [2.0, 3.0, 5.0]
    assert timing.ratio == 3.0
