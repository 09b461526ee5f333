"""Staleness studies from table to figure."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.tables.table import DETAIL_COLUMNS, details_path, format_csv, text_of
from plots.cli import main
from plots.report.page import page
from plots.shared.observations import select
from plots.staleness.table import Decay, analyse
from plots.staleness.text import describe
from tests.plots.scaling_tables import Table

DETAILS = ("update", "batch", "generator", "first_version", "last_version", "staleness",
           "made_loss", "consumed_loss")  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Sequential, and a pipeline whose batches are 0, 1, 2, 0, 1, 2 ... updates old."""
    table = Table("staleness")
    common = {"send_interval": 1, "adversary_steps": 32, "evaluation_images": 100}
    keywords = {"launches": 1, "repetitions": 1}
    table.add(9.0, strategy="sequential", processes=1, receive_interval=1,
              metrics={"robust_accuracy": 0.5}, **keywords, **common)  # fmt: skip
    for receive, accuracy in ((1, 0.4), (32, 0.1)):
        table.add(5.0, strategy="pipeline", processes=4, receive_interval=receive,
                  source="oversubscribed", metrics={"robust_accuracy": accuracy},
                  **keywords, **common)  # fmt: skip
    table.write(tmp_path)
    rows = []
    for row in table.rows:
        if row["warmup"]:
            continue
        for update in range(30):
            age = update % 3 if row["strategy"] == "pipeline" else 0
            age = min(age, update)
            rows.append({
                "point": row["point"], "launch": row["launch"], "repetition": row["repetition"],
                "detail": update, "update": update, "batch": update, "generator": 1,
                "first_version": update - age, "last_version": update - age, "staleness": age,
                "made_loss": 2.0, "consumed_loss": 2.0 - 0.5 * age,
            })  # fmt: skip
    path = details_path(tmp_path, "staleness")
    texts = [{k: text_of(v) for k, v in row.items()} for row in rows]
    path.write_text(format_csv([*DETAIL_COLUMNS, *DETAILS], texts))
    return tmp_path


def study(folder):
    return analyse(select(folder / "staleness.csv"))


def test_ages_strength_and_accuracy_are_what_the_tables_say(folder):
    found = study(folder)
    names = [c.name for c in found.configurations]
    assert names == ["sequential", "p = 4, k = 1, look every 1", "p = 4, k = 1, look every 32"]
    assert found.configurations[0].fractions == {0: 1.0}
    assert found.configurations[1].fractions == pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
    assert [c.accuracy for c in found.configurations] == [0.5, 0.4, 0.1]
    assert [d.age for d in found.decay] == [0, 1, 2]
    assert [d.quartiles[1] for d in found.decay] == [1.0, 0.75, 0.5]


def test_the_interval_is_wilsons(folder):
    low, high = study(folder).configurations[0].interval
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # 50 of 100


def test_quartiles():
    assert Decay(1, (1.0, 2.0, 3.0, 4.0, 5.0)).quartiles == (2.0, 3.0, 4.0)


def test_the_command_prints_tables_and_paths(folder, capsys):
    assert main(["staleness", str(folder / "staleness.csv")]) == 0
    out = capsys.readouterr().out
    assert "p = 4, k = 1, look every 32" in out
    assert "oversubscribed" in out
    assert "0.7500" in out
    assert (folder / "figures" / "staleness.png").is_file()
    assert describe(study(folder)) in out


def test_the_report_shows_it_as_what_it_is(folder):
    html, skipped = page(folder)
    assert skipped == []
    assert "<svg" in html
    assert "age [updates]" in html


def test_a_study_without_details_is_refused(folder, capsys):
    details_path(folder, "staleness").unlink()
    assert main(["staleness", str(folder / "staleness.csv")]) == 2
    assert "staleness.details.csv" in capsys.readouterr().err


def test_another_study_is_refused(tmp_path):
    Table("sleepy").add(1.0, processes=1).write(tmp_path)
    with pytest.raises(UserError, match="no column 'strategy'; expected a study over"):
        analyse(select(Path(tmp_path) / "sleepy.csv"))
