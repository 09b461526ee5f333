"""Which plot a table is for; every declaration is whole."""

import csv
from pathlib import Path

import pytest

from plots import registry
from plots.cli import plots

PUBLISHED = Path(__file__).parents[2] / "results" / "published"

WHOSE = {
    "amd-epyc-2-cores/attack_benchmark.csv": "attack-benchmark",
    "amd-epyc-2-cores/strong_scaling.csv": "scaling",
    "amd-epyc-2-cores/weak_scaling.csv": "scaling",
    "amd-epyc-2-cores/strategies.csv": "scaling",
    "amd-epyc-2-cores/staleness.csv": "staleness",
    "amd-epyc-2-cores/openmp/openmp.csv": "openmp",
    "amd-epyc-2-cores/robustness/robustness.csv": "robustness",
    "amd-epyc-2-cores/roofline/roofline.csv": "roofline",
    "amd-epyc-2-cores/roofline/ceilings.csv": None,
    "amd-epyc-2-cores/virtual/virtual.csv": "virtual",
    "intel-xeon-2-cores/avx2/simulation.csv": "simulation",
}


@pytest.mark.parametrize("table", WHOSE)
def test_a_table_s_columns_tell_its_plot(table):
    path = PUBLISHED / table
    with path.open() as file:
        header = next(csv.reader(file))
    found = registry.plot_for(header, path.with_suffix(".details.csv").is_file())
    assert (found.name if found else None) == WHOSE[table]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("amd-epyc-2-cores/strategies.csv", ["scaling", "tradeoff"]),
        ("amd-epyc-2-cores/weak_scaling.csv", ["scaling"]),  # whose problems differ
        ("amd-epyc-2-cores/staleness.csv", ["staleness"]),
        ("amd-epyc-2-cores/roofline/ceilings.csv", []),
    ],
)
def test_a_table_may_have_a_second_plot_beside_its_own(table, names):
    path = PUBLISHED / table
    with path.open() as file:
        header = next(csv.reader(file))
    found = registry.plots_for(header, path.with_suffix(".details.csv").is_file())
    assert [plot.name for plot in found] == names


def test_what_is_drawn_beside_a_plot_names_one():
    names = {plot.name for plot in registry.declared() if not plot.beside}
    assert {plot.beside for plot in registry.declared() if plot.beside} <= names


@pytest.mark.parametrize("plot", registry.declared(), ids=lambda plot: plot.name)
def test_every_plot_has_a_command_a_title_and_what_makes_its_table(plot):
    assert plot.title
    assert plot.makes
    assert f"python -m plots {plot.name} results/" in plots.get_command(None, plot.name).help
