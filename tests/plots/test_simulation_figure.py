"""Simulations drawn: sources told apart."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.tables.table import ROW_COLUMNS, format_csv
from plots.simulation import figure as simulation_figure
from plots.simulation import table as simulation

COLUMNS = (
    *ROW_COLUMNS, "strategy", "variant", "definition", "machine", "calibrated", "speedup", "limit"
)  # fmt: skip


def row(processes, seconds, **changes):
    cells = dict.fromkeys(COLUMNS, "")
    cells.update(
        schema_version=1, processes=processes, seconds=seconds, source="simulated", status="ok",
        strategy="pipeline", variant="pipeline", definition="strong", machine="here",
        calibrated="measured", speedup=10 / seconds, limit="generation", warmup="false",
    )  # fmt: skip
    return {name: str(value) for name, value in {**cells, **changes}.items()}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "simulation.csv"
    rows = [
        row(2, 9.0), row(4, 3.0), row(2, 9.0, definition="classical"),
        row(2, 1200.0, definition="study", machine="node"),
    ]  # fmt: skip
    path.write_text(format_csv(COLUMNS, rows), encoding="utf-8")
    return path


def test_measured_and_emulated_points_stand_beside_this_machine_s(table, tmp_path):
    rows = [
        row(1, 10.0, source="measured", strategy="sequential", variant=""),
        row(2, 8.0, source="measured", variant=""),
        row(2, 99.0, source="measured", status="failed"),
        row(4, 4.0, source="emulated", variant=""), row(4, 6.0, source="emulated", variant=""),
        row(2, 50.0, source="measured", variant="", warmup="true"),
    ]  # fmt: skip
    (tmp_path / "strong_scaling.csv").write_text(format_csv(COLUMNS, rows), encoding="utf-8")
    found = simulation.analyse(table)
    strong = next(panel for panel in found.panels if panel.definition == "strong")
    marks = {(m.source, m.processes): m.speedup for m in strong.series["pipeline"]}
    assert marks["measured", 2] == pytest.approx(10 / 8)
    assert marks["emulated", 4] == pytest.approx(10 / 5)
    assert marks["simulated", 4] == pytest.approx(10 / 3)
    assert found.epochs is not None
    assert found.epochs.simulated == {2: 1200.0}
    assert found.epochs.closed[32] == pytest.approx(938 * 1.284544 / 31)


def test_the_figure_names_its_sources(table):
    legend = simulation_figure.draw(simulation.analyse(table)).legends[0]
    assert "simulated (discrete-event model)" in [t.get_text() for t in legend.get_texts()]


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks the column"):
        simulation.analyse(path)
