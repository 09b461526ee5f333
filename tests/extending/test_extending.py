"""docs/extending.md: what stands there works, as it stands there."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import plots
from harness.cli import main as harness
from kernels.commands.cli import main as kernels
from kernels.declarations import registry
from kernels.declarations.kernel import Case
from kernels.samples import time_variants
from plots.cli import plots as draw
from plots.registry import plot_for
from tests.mpi import run_ranks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"```\w+\n# file: (\S+)\n(.*?)```", PAGE, re.S))


@pytest.fixture
def written(tmp_path):
    """The page's files, in a folder of their own."""
    for name, text in BLOCKS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def invoke(command, *arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_study(written):
    study = written / "rates.toml"
    assert "2 points" in invoke(harness, "plan", study, "--results", written / "results")
    invoke(harness, "run", study, "--results", written / "results")
    table = (written / "results" / "rates.csv").read_text("utf-8").splitlines()
    assert len(table) == 3
    assert all(",ok," in row for row in table[1:])


def test_a_strategy(written):
    """On two ranks it trains what it trains on one: taking turns changes no number."""
    program = [str(Path(__file__).with_name("turns_ranks.py")), str(written)]
    (two,), (one,) = (run_ranks(p, program).split() for p in (2, 1))
    assert two == one


def test_a_kernel(written, monkeypatch):
    monkeypatch.syspath_prepend(str(written))
    (kernel,) = __import__("axpy").kernels()
    monkeypatch.setattr(registry, "KERNELS", {**registry.KERNELS, kernel.name: kernel})
    assert registry.chosen(["axpy"]) == [kernel]
    (timed,) = time_variants(
        kernel, ["torch"], Case(2, 8), 1, repetitions=2, seconds=1e-4, order=random.Random(0)
    )
    assert timed.status == "ok"
    assert len(timed.seconds) == 2
    assert timed.prepared.flops == 2 * 2 * 8 * 8


def test_a_machine(written):
    told = invoke(kernels, "machines", "laptop", "--folder", written)
    assert "320" in told  # GFLOP/s: 4 cores of 32 operations a cycle at 2.5 GHz
    assert "38.4" in told


def test_a_plot(written, monkeypatch):
    monkeypatch.setattr(plots, "__path__", [*plots.__path__, str(written)])
    table = written / "trees.csv"
    table.write_text("schema_version,age_years,height_m\n1,10,4.5\n1,20,9\n", encoding="utf-8")
    assert "2 trees, the highest 9" in invoke(draw, "heights", table)
    assert (written / "figures" / "trees.svg").is_file()
    assert plot_for(["age_years", "height_m", "place"], False).name == "heights"
    page = invoke(draw, "report", written)
    assert "Trees" in (written / "report.html").read_text("utf-8"), page
