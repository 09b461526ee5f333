"""Speed-up against robust accuracy, from table to figure and report."""

import csv
import re

import pytest

from harness.errors import UserError
from plots.cli import main
from plots.report.page import page
from plots.tradeoff import PLOT
from plots.tradeoff.figure import caption, draw
from plots.tradeoff.text import headlines
from tests.plots.scaling_tables import Table

COMMON = {"adversary_steps": 32, "evaluation_images": 200, "repetitions": 1}


def add(table, seconds, accuracy, **keywords):
    return table.add(seconds, metrics={"robust_accuracy": accuracy}, **COMMON, **keywords)


@pytest.fixture
def path(tmp_path):
    """Twice as fast and as robust; four times as fast and less robust; neither."""
    table = Table("strategies")
    add(table, 8.0, 0.5, strategy="sequential", processes=1)
    add(table, 4.0, 0.5, strategy="data_parallel", processes=2)
    add(table, 2.0, 0.4, strategy="data_parallel", processes=4, source="oversubscribed")
    add(table, 5.0, 0.45, strategy="pipeline", processes=2)
    add(table, 8.0, None, strategy="sequential", processes=1, source="emulated")
    add(table, 1.0, None, strategy="pipeline", processes=8, source="emulated")
    return table.write(tmp_path)


def test_each_mark_is_a_strategy_s_speed_up_and_accuracy(path):
    (panel,) = PLOT.read(path).panels
    found = {
        (m.point.cell.strategy, m.point.cell.processes): (m.point.speedup, m.accuracy.median)
        for m in panel.marks
    }
    assert found == {
        ("sequential", 1): (1.0, 0.5),
        ("data_parallel", 2): (2.0, 0.5),
        ("data_parallel", 4): (4.0, 0.4),
        ("pipeline", 2): (1.6, 0.45),
    }
    assert [(m.point.cell.strategy, m.point.cell.processes) for m in panel.front] == [
        ("data_parallel", 2), ("data_parallel", 4),
    ]  # fmt: skip
    assert panel.notes == ("left out, since without a robust accuracy: 2 emulated points",)


def test_of_several_seeds_each_counts_once(tmp_path):
    table = Table("strategies")
    add(table, 8.0, 0.5, strategy="sequential", processes=1)
    for seed, accuracy in enumerate((0.4, 0.45, 0.6)):
        add(table, 4.0, accuracy, strategy="pipeline", processes=2, seed=seed)
    (panel,) = PLOT.read(table.write(tmp_path)).panels
    pipeline = panel.marks[-1]
    assert (pipeline.seeds, pipeline.accuracy.n, pipeline.accuracy.median) == (3, 3, 0.45)
    assert pipeline.accuracy.low is None  # three seeds give no interval, however many launches
    assert pipeline.point.cell.seconds.n == 18


def test_the_figure_tells_strategies_numbers_and_sources_apart(path):
    study = PLOT.read(path)
    figure = draw(study)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == [
        "sequential", "data parallel", "pipeline", "as sequential training", "2 cores", "4 cores",
        "measured", "oversubscribed (more processes than cores)",
    ]  # fmt: skip
    (axis,) = figure.axes
    marks = {(line.get_xdata()[0], line.get_ydata()[0]): line for line in axis.lines
             if len(line.get_xdata()) == 1}  # fmt: skip
    two, four = marks[50.0, 2.0], marks[40.0, 4.0]
    assert two.get_color() == four.get_color() != marks[45.0, 1.6].get_color()
    assert two.get_markersize() < four.get_markersize()
    assert (two.get_fillstyle(), four.get_fillstyle()) == ("full", "none")
    assert "better ↗" in [text.get_text() for text in axis.texts]
    told = caption(study)
    assert "another seed may differ more" in told
    assert "Of 200 test images, the same for all marks: one image is 0.5 points" in told
    assert "without a robust accuracy: 2 emulated points" in told


def test_the_command_writes_a_figure_and_a_table_beside_those_of_scaling(path, capsys):
    assert main(["tradeoff", str(path), "--format", "svg", "--width", "one"]) == 0
    out = capsys.readouterr().out
    row = r"data_parallel +measured +2 .* 2\.00 .* 50\.0 +\[50\.0, 50\.0\] +\+0\.0$"
    assert re.search(row, out, re.MULTILINE)
    figures = path.parent / "figures"
    assert (figures / "strategies_tradeoff.svg").is_file()
    with (figures / "strategies.tradeoff.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["surpassed"] for row in rows] == ["true", "false", "false", "true"]
    assert float(rows[2]["difference"]) == pytest.approx(-0.1)


def test_headlines_name_what_nothing_surpasses(path):
    told = headlines(PLOT.read(path))
    assert len(told) == 2
    assert told[0].startswith("nothing else is both as fast as data parallel on 2 processes (2.00 "
                              "times")  # fmt: skip
    assert told[0].endswith(
        "as robust (accuracy 50.0 % [50.0, 50.0]; sequential: 50.0 %); measured"
    )


def test_what_is_no_faster_than_one_core_is_no_headline(tmp_path):
    table = Table("strategies").add(2.0, processes=1, strategy="sequential", robust_accuracy=0.5)
    table.add(3.0, processes=2, strategy="pipeline", robust_accuracy=0.6)
    assert headlines(PLOT.read(table.write(tmp_path))) == []


def test_a_caption_speaks_of_bars_only_where_there_are_any(tmp_path, path):
    assert "Upright bars: 95 %" in caption(PLOT.read(path))
    table = Table("strong_scaling")
    for p, strategy in ((1, "sequential"), (2, "pipeline")):
        table.add(2.0 / p, processes=p, strategy=strategy, robust_accuracy=0.5, launches=1)
    told = caption(PLOT.read(table.write(tmp_path)))
    assert "bars" not in told
    assert "N too small for 95 % intervals of the speed-up" in told


def test_the_report_shows_it_behind_the_scaling_of_the_same_table(path):
    html, skipped = page(path.parent)
    assert skipped == []
    assert html.index('id="section-scaling"') < html.index('id="section-tradeoff"')
    assert html.count('id="strategies"') == html.count('id="strategies-tradeoff"') == 1
    assert "1 study\nwith figures" in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "has no column 'strategy'"),
        ({"strategy": "sequential"}, "has no column 'robust_accuracy'"),
        ({"strategy": "sequential", "robust_accuracy": 0.5, "definition": "slides"},
         "is a weak-scaling study"),
        ({"strategy": "pipeline", "robust_accuracy": 0.5}, "no baseline for a speed-up"),
    ],
)  # fmt: skip
def test_another_study_is_refused_with_what_was_expected(tmp_path, columns, reason):
    path = Table("other").add(1.0, processes=2, **columns).write(tmp_path)
    with pytest.raises(UserError, match=reason):
        PLOT.read(path)


def test_a_study_without_accuracies_is_refused(tmp_path):
    table = Table("strategies")
    add(table, 8.0, None, strategy="sequential", processes=1, source="emulated")
    with pytest.raises(UserError, match="no row to draw has a robust_accuracy"):
        PLOT.read(table.write(tmp_path))


def test_a_study_of_throughput_is_refused(path):
    """Its points may train for different lengths: accuracies would not be comparable."""
    points = path.with_suffix(".points.csv")
    header, *rows = points.read_text().splitlines()
    lines = [f"{header},throughput_metric", *(f"{row},images_per_second" for row in rows)]
    points.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="is a throughput-scaling study, whose points may train"):
        PLOT.read(path)
    _, skipped = page(path.parent)
    assert any("is a throughput-scaling study" in reason for reason in skipped)


def test_a_program_s_table_is_drawn_where_it_has_strategies_and_accuracies(tmp_path):
    table = Table("mine")
    for strategy, seconds, accuracy in (("sequential", 4.0, 0.5), ("mine", 2.0, 0.4)):
        processes = 1 if strategy == "sequential" else 2
        table.add(seconds, strategy=strategy, processes=processes, workload="./train.sh",
                  metrics={"robust_accuracy": accuracy})  # fmt: skip
    (panel,) = PLOT.read(table.write(tmp_path)).panels
    assert [(m.point.speedup, m.accuracy.median) for m in panel.marks] == [(1.0, 0.5), (2.0, 0.4)]
