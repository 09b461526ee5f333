"""Stages of the fused engine: their times add up, and they are placed under the right roof."""

from __future__ import annotations

import csv

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from kernels.commands import cli
from kernels.machines.roof import Roof
from kernels.measure import placement
from kernels.measure.stages import measure
from sparring import networks
from sparring.benchmark import problem as benchmark_problem
from sparring.fused import machine
from sparring.fused.machine import machine_isa

ROOF = Roof(100, {"L1": 50, "DRAM": 5}, {"L1": 2**15})
COMMON = dict.fromkeys(placement.COLUMNS, "")


@pytest.fixture(scope="module", autouse=True)
def one_layout_less():
    """The narrowest instruction set, which has the fewest kernels to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(machine.ISA_VARIABLE, "generic")
        yield


@pytest.fixture(scope="module")
def problem():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 4 * 4, 6), nn.ReLU(), nn.Linear(6, 3),
    ).eval()  # fmt: skip
    return model, torch.rand(20, 1, 12, 12), torch.arange(20) % 3


@pytest.fixture(scope="module")
def measured(problem):
    return measure(*problem, machine_isa(), "wide", steps=2, repetitions=2)


def test_stages_add_up_to_the_attack(measured):
    assert len(measured.samples) == 2
    for sample in measured.samples:
        assert 2 * sum(sample.seconds.values()) == pytest.approx(sample.staged_seconds)
        assert sample.overhead == sample.staged_seconds / sample.plain_seconds
    for layer in (1, 2, 3, 4):
        assert measured.samples[0].seconds[layer, "forward", "multiply"] > 0
        assert measured.samples[0].seconds[layer, "backward", "multiply"] > 0
    assert measured.samples[0].seconds[2, "forward", "transform"] > 0
    assert not any(kind == "weights" for _, _, kind in measured.samples[0].seconds)


def test_rows_add_up_and_are_tidy(measured):
    rows = placement.rows(measured, ROOF, batch_size=20, steps=2, common=COMMON)
    assert all(tuple(row) == placement.COLUMNS for row in rows)
    first = [row for row in rows if row["repetition"] == 0]
    keys = [(row["kernel"], row["direction"], row["stage"]) for row in first]
    assert len(set(keys)) == len(keys)
    step = next(row for row in first if row["kernel"] == "attack_step")
    stages = [row for row in first if row["stage"] != "all"]
    wholes = [row for row in first if row["stage"] == "all" and row is not step]
    for parts in (stages, wholes):
        assert sum(row["seconds"] for row in parts) == pytest.approx(step["seconds"])
    assert sum(row["flops"] for row in wholes) == pytest.approx(step["flops"], abs=len(wholes))
    conv2 = next(row for row in wholes if (row["kernel"], row["direction"]) == ("conv2", "forward"))
    assert conv2["algorithm"] == "winograd"
    assert conv2["flops_nominal"] == 20 * 2 * 4 * 4 * 25 * 64


def test_roofs_are_applied(measured):
    rows = placement.rows(measured, ROOF, batch_size=20, steps=2, common=COMMON)
    for row in rows:
        if not row["bytes"]:
            assert row["percent_of_ceiling"] is None
            continue
        assert row["level"] == ("L1" if row["working_set_bytes"] <= 2**15 else "DRAM")
        bandwidth = ROOF.bandwidth[row["level"]]
        least = max(row["flops"] / 100e9, row["bytes"] / bandwidth / 1e9)
        assert row["percent_of_ceiling"] == pytest.approx(100 * least / row["seconds"], rel=1e-3)
        if row["flops"]:
            share = 100 * row["gflops"] / row["ceiling_gflops"]
            assert row["percent_of_ceiling"] == pytest.approx(share, rel=1e-3)


def test_command_writes_and_prints_what_it_measured(tmp_path, monkeypatch, problem):
    monkeypatch.setattr(cli, "_problem", lambda network, images, seed, weights: problem)
    monkeypatch.setattr(cli, "_roof", lambda results, isa: ROOF)
    command = ["stages", "--batch-size", "20", "--steps", "2", "--rounds", "2",
               "--results", str(tmp_path)]  # fmt: skip
    for _ in range(2):
        result = CliRunner().invoke(cli.main, command)
        assert result.exit_code == 0, result.output
    assert "attack_step" in result.stdout
    assert "times as long" in result.stdout
    assert "study, initial weights, fused wide, batch size 20" in result.stdout
    with (tmp_path / "engine_stages.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == placement.COLUMNS
    steps = [row for row in rows if row["kernel"] == "attack_step"]
    assert [row["repetition"] for row in steps] == ["0", "1", "0", "1"]
    assert all(row["machine"] and row["variant"] == "fused_wide" for row in rows)
    assert {row["weights"] for row in rows} == {"initial"}


def test_weights_are_drawn_or_trained(monkeypatch):
    monkeypatch.setattr(benchmark_problem, "ACCURACY", 0.3)  # trains for a moment
    first, again = (cli._problem("study", 4, 7, "initial")[0] for _ in range(2))
    trained = cli._problem("study", 4, 7, "trained")[0]
    drawn = networks.build("study", 7)
    for own, same, other, weight in zip(
        *(model.parameters() for model in (first, again, trained, drawn)), strict=True
    ):
        assert torch.equal(own, weight)
        assert torch.equal(own, same)
        assert not torch.equal(own, other)


def test_a_few_images_in_tiles(problem):
    model, images, labels = problem
    measured = measure(model, images[:3], labels[:3], machine_isa(), "tile", steps=2, repetitions=1)
    assert (measured.shape.layout, measured.shape.block) == ("tile", 3)
    assert measured.alive[0].listed >= measured.alive[0].rows / 3
    rows = placement.rows(measured, ROOF, batch_size=3, steps=2, common=COMMON)
    by_stage = {(row["kernel"], row["direction"], row["stage"]): row for row in rows}
    whole = by_stage["attack_step", "all", "all"]
    assert whole["flops_nominal"] < whole["flops"]
    assert by_stage["conv2", "backward", "transform"]["flops"] > 0
    assert by_stage["linear1", "forward", "other"]["seconds"] > 0
