"""`sparring attack`, with and without --benchmark."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from sparring import networks
from sparring.benchmark import problem as problems
from sparring.checkpoint import capture, save
from sparring.commands.cli import main
from tests.sparring.benchmark.fakes import rows_of


def command(*arguments):
    return CliRunner().invoke(main, ["attack", *map(str, arguments)])


def test_help_is_told_without_torch():
    code = (
        "import sys; from sparring.commands.cli import main; main(['attack', '--help'], "
        "standalone_mode=False); assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--task [attack|update|iteration]" in done.stdout


@pytest.mark.parametrize("weights", ["initial", "trained"])
def test_the_benchmark_from_the_command_line(tmp_path, monkeypatch, weights):
    monkeypatch.setattr(problems, "ACCURACY", 0.3)  # trains for a moment
    result = command(
        "--benchmark", "--preset", "smoke", "--batch-size", 2, "--steps", 2, "--rounds", 1,
        "--task", "attack", "--task", "iteration", "--competitor", "plain", "--results", tmp_path,
        *(("--weights", weights) if weights != "initial" else ()),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "attack_benchmark.csv")
    assert [(row["task"], row["status"]) for row in rows] == [("attack", "ok"), ("iteration", "ok")]
    assert len({row["run"] for row in rows}) == 1
    assert float(rows[0]["image_steps_per_second"]) == pytest.approx(4 / float(rows[0]["seconds"]))
    assert rows[0]["gradient_error"] == ""
    assert float(rows[1]["gradient_error"]) < 1e-3
    assert "2 rows added to" in result.output
    assert {row["weights"] for row in rows} == {weights}
    assert f"network 'study', {weights} weights" in result.output
    assert f"attack, {weights} weights, 1 thread, 2 steps" in result.output
    assert ("training network 'study' on mnist-5k" in result.output) == (weights == "trained")


def test_a_checkpoint_is_attacked(tmp_path):
    model = networks.build("study", 5)
    save(tmp_path / "run.pt", capture(model, torch.optim.SGD(model.parameters(), lr=0.1), 0, {}))
    ours = ("--checkpoint", tmp_path / "run.pt", "--images", 20, "--steps", 2)
    result = command(*ours, "--backend", "torch")
    assert result.exit_code == 0, result.output
    assert "clean accuracy 0." in result.output
    assert "first 20 test images" in result.output
    assert "image-steps/s in" in result.output
    assert "backend torch" in result.output
    assert "training" not in result.output
    other = command(*ours, "--network", "madry")
    assert other.exit_code == 2
    assert "holds no weights of network 'madry'" in other.output
    assert command(*ours, "--attack", "fgsm", "--backend", "torch").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rounds", 3), "--rounds has no meaning without --benchmark"),
        (("--task", "update"), "--task has no meaning without --benchmark"),
        (("--weights", "trained"), "--weights has no meaning without --benchmark"),
        (("--benchmark", "--task", "update", "--steps", 3), "--steps has no meaning with --task"),
        (("--benchmark", "--task", "update", "--competitor", "art"), "none of art can do"),
        (("--benchmark", "--backend", "torch"), "--backend has no meaning with --benchmark"),
        (("--steps", 3, "--steps", 4), "--steps may be given once without --benchmark"),
        (("--checkpoint", "/no/such"), "/no/such: no such checkpoint"),
        (("--benchmark", "--competitor", "x"), "competitor must be one of"),
        (("--benchmark", "--preset", "smoke", "--batch-size", 5000, "--results", "{tmp}"),
         "fewer than the batch size 5000"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_sentence(arguments, said, tmp_path):
    result = command(*(str(a).replace("{tmp}", str(tmp_path)) for a in arguments))
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
