"""Virtual executions beside the study's own accuracies."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.tables.table import ROW_COLUMNS, format_csv
from plots.virtual import figure as virtual_figure
from plots.virtual import table as virtual
from plots.virtual import text

COLUMNS = (*ROW_COLUMNS, *(name for name in virtual.COLUMNS if name not in ROW_COLUMNS))


def row(processes, accuracy, **changes):
    cells = dict.fromkeys(COLUMNS, "")
    cells.update(
        schema_version=1, processes=processes, seed=0, source="simulated", status="ok",
        warmup="false", machine="node", dataset="mnist", images=0, epochs=1, receive_interval=1,
        study_partial_batches="false", flow="live" if processes > 1 else "", seconds=50.0,
        robust_accuracy=accuracy, staleness_mean=processes - 1.0,
    )  # fmt: skip
    return {name: str(value) for name, value in {**cells, **changes}.items()}


ROWS = [
    row(1, 0.5), row(1, 0.6, seed=1), row(32, 0.54), row(32, 0.56, seed=1),
    row(32, 0.2, study_partial_batches="true"), row(32, 0.4, seed=1, study_partial_batches="true"),
    row(32, 0.0, epochs=10, receive_interval=4, flow="news 2"), row(32, 0.7, epochs=10),
]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def put(rows):
        path = tmp_path / "virtual.csv"
        path.write_text(format_csv(COLUMNS, rows), encoding="utf-8")
        return path

    return put


def test_seeds_are_one_group_and_stand_beside_the_studys_own_row(write):
    study = virtual.analyse(write(ROWS))
    scaling = {(g.processes, g.defect): g for g in study.scaling()}
    assert scaling[32, True].accuracies == (0.2, 0.4)
    assert scaling[32, False].mean == pytest.approx(0.55)
    assert [(g.interval, g.flow) for g in study.intervals()] == [(1, "live"), (4, "news 2")]
    told = text.describe(study)
    assert "as in the study  live          2  0.300   0.200 to 0.400  0.141" in told
    lines = [line.split() for line in told.splitlines()[2:]]
    beside = [(epochs, p, interval, rest[-1]) for epochs, p, interval, *rest in lines]
    assert beside == [
        ("1", "1", "1", "0.570"), ("1", "32", "1", "0.112"), ("1", "32", "1", "0.112"),
        ("10", "32", "1", "0.627"), ("10", "32", "4", "0.000"),
    ]  # fmt: skip


def test_without_reference_rows_the_figure_has_none(write, tmp_path):
    path = write(ROWS[:4])
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "strong_scaling.csv").write_text(
        format_csv(virtual.REFERENCE, [{"processes": "64", "epochs": "1", "robust_accuracy": "1"}])
    )
    study = virtual.analyse(path)
    assert study.measured == {(64, 1, 1): 1.0}
    figure = virtual_figure.draw(study)
    (axis,) = figure.axes
    assert not any("reference" in text.get_text() for text in axis.get_legend().get_texts())


def test_the_figure_has_a_panel_for_each_question(write):
    figure = virtual_figure.draw(virtual.analyse(write(ROWS)))
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "one epoch of mnist", "10 epochs on 32 processes"
    ]  # fmt: skip


def test_accuracies_on_the_way_have_a_panel_of_their_own(write, tmp_path):
    path = write([row(1, 0.5, point="pa"), row(32, 0.5, point="pb"),
                  row(32, 0.5, epochs=10, point="pc")])  # fmt: skip
    looks = [
        {"schema_version": "1", "point": point, "seed": "0", "update": str(update),
         "robust_accuracy": str(accuracy)}
        for point, update, accuracy in (
            ("pb", 20, 0.4), ("pb", 10, 0.2), ("pa", 10, 0.1), ("pc", 10, 0.9), ("gone", 10, 0.9),
        )
    ]  # fmt: skip
    text = format_csv(("schema_version", *virtual.DETAILS), looks)
    (tmp_path / "virtual.details.csv").write_text(text, encoding="utf-8")
    study = virtual.analyse(path)
    assert [(c.processes, c.points) for c in study.curves] == [
        (1, ((10, 0.1),)), (32, ((10, 0.2), (20, 0.4)))
    ]  # fmt: skip
    figure = virtual_figure.draw(study)
    assert "during the epoch" in figure.axes[-1].get_title(loc="left")
    assert [line.get_label() for line in figure.axes[-1].lines] == [
        "p = 1", "p = 32"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "no rows"),
        ([row(1, 0.5), row(2, 0.5, dataset="mnist-5k")], "column 'dataset': expected one value"),
        ([row(1, 0.5), row(2, 0.5, images=100)], "column 'images': expected one value"),
    ],
)
def test_tables_that_mix_what_cannot_be_compared_are_refused(write, rows, told):
    with pytest.raises(InputError, match=told):
        virtual.analyse(write(rows))
