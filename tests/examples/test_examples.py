"""The examples do what they say, in small."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from tests.mpi import run_ranks

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_under_40_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def test_batch_norm_on_two_ranks():
    told = run_ranks(2, [str(EXAMPLES / "batch_norm.py"), "2"])
    assert "2 processes: robust accuracy 0." in told


def test_a_custom_attack_on_two_ranks():
    assert "robust accuracy 0." in run_ranks(2, [str(EXAMPLES / "custom_attack.py"), "2"])


def test_a_custom_attack_stays_in_its_ball(monkeypatch):
    import torch

    monkeypatch.setattr(sys, "argv", ["custom_attack.py", "0"])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    made = __import__("custom_attack")
    x, y = torch.rand(4, 1, 28, 28), torch.tensor([0, 1, 2, 3])
    adversaries = made.RandomFGSM()(made.model, x, y)
    assert 0.0 < (adversaries - x).abs().max() <= 0.1 + 1e-6
    assert adversaries.min() >= 0.0
    assert adversaries.max() <= 1.0


def test_a_staleness_policy_of_ones_own_on_three_ranks():
    told = run_ranks(3, [str(EXAMPLES / "staleness_policy.py"), "4"])
    assert "batches were refused and made again" in told


def test_tensorboard_gets_a_loss_and_a_staleness_an_update(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_ranks(2, [str(EXAMPLES / "tensorboard_log.py"), "3", str(tmp_path)])
    events = EventAccumulator(str(tmp_path)).Reload()
    for tag in ("loss", "staleness"):
        assert [event.step for event in events.Scalars(tag)] == [0, 1, 2]


def test_jacobi_solves_poisson(monkeypatch):
    """The middle of the square: 0.07367 (the series' value)."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "jacobi"))
    solver = __import__("jacobi").Jacobi()
    solver.setup(MPI.COMM_SELF, {"size": 31, "iterations": 3000})
    assert solver.run()["last_change"] < 1e-9
    assert np.isclose(solver.u[16, 16], 0.07367, rtol=2e-3)


@pytest.mark.ranks
def test_jacobi_through_harness_and_figures(tmp_path):
    def call(*arguments):
        subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=ROOT, check=True)

    study = EXAMPLES / "jacobi" / "jacobi.toml"
    call("harness", "run", study, "--preset", "smoke", "--oversubscribe", "--results", tmp_path)
    with (tmp_path / "jacobi.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["processes"] for row in rows} == {"1", "2"}
    # Jacobi's iterates do not depend on how the rows are spread.
    assert len({row["last_change"] for row in rows}) == 1
    call("plots", "scaling", tmp_path / "jacobi.csv")
    assert list(tmp_path.rglob("*.pdf")) + list(tmp_path.rglob("*.svg"))
