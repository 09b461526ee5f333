"""Robustness studies from table to verdict, and galleries."""

from __future__ import annotations

import csv
from functools import partial

import numpy as np
import pytest

from harness.errors import UserError
from harness.tables.table import DETAIL_COLUMNS, details_path, format_csv
from plots.cli import main
from plots.report.page import page
from plots.robustness.figure import caption, draw, looks
from plots.robustness.table import analyse
from plots.robustness.text import describe, verdicts_table
from plots.shared.files import as_svg
from plots.shared.observations import select
from tests.plots.scaling_tables import Table

FIXED = {
    "baseline": "sequential", "endpoint": "pgd_40_accuracy", "margin": 0.01, "alpha": 0.05,
    "power": 0.8, "dataset": "mnist-5k", "network": "study", "target": 0.8, "updates": 100,
    "calibration": "study-node",
}  # fmt: skip

#: Of seed n; sequential training's accuracy.
BASE = [0.90 + 0.01 * ((7 * n) % 5 - 2) for n in range(8)]


def add(table, arm, accuracies, age=0.0, role="arm", **keywords):
    for seed, accuracy in enumerate(accuracies):
        table.add(
            1.0, processes=1, launches=1, repetitions=1, arm=arm, role=role, seed=seed,
            source="measured" if age == 0 else "simulated",
            metrics={
                "pgd_40_accuracy": accuracy, "clean_accuracy": 0.98, "study_accuracy": 0.2,
                "staleness_mean": age, "strength": 1 - 0.001 * age,
                "plateau": "true" if accuracy < 0.2 else "false",
                "target_seconds": 100.0 + seed if accuracy > 0.8 else None,
                "worst_case_accuracy": 0.8 if seed == 0 else None,
            },
            **FIXED, **keywords,
        )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Arms: one as good (differences of 0.001), one 0.5 worse, one of two seeds 0.05 worse."""
    table = Table("robustness")
    add(table, "sequential", BASE)
    add(table, "overlapped", [b + 0.001 * (-1) ** n for n, b in enumerate(BASE)], age=1.0)
    add(table, "stale", [b - 0.5 - 0.01 * (n % 3) for n, b in enumerate(BASE)], age=300.0)
    add(table, "swept", [b - 0.05 - 0.0001 * n for n, b in enumerate(BASE[:3])], 40.0, "sweep")
    table.write(tmp_path)
    rows = [
        {"point": row["point"], "launch": row["launch"], "repetition": row["repetition"],
         "detail": n, "update": 50 * (n + 1), "simulated_seconds": 10.0 * (n + 1),
         "accuracy": 0.4 * (n + 1), "strength": 1.0, "staleness_mean": 0.0}
        for row in table.rows if not row["warmup"] for n in range(2)
    ]  # fmt: skip
    columns = [*DETAIL_COLUMNS, "update", "simulated_seconds", "accuracy", "strength",
               "staleness_mean"]  # fmt: skip
    details_path(tmp_path, "robustness").write_text(
        format_csv(columns, [{k: str(v) for k, v in row.items()} for row in rows])
    )
    return tmp_path


def study(folder):
    return analyse(select(folder / "robustness.csv"))


def by_name(folder):
    return {arm.name: arm for arm in study(folder).arms}


def test_arms_are_paired_by_seed_and_judged(folder):
    arms = by_name(folder)
    assert list(arms) == ["sequential", "overlapped", "stale", "swept"]
    assert arms["overlapped"].comparison.n == 8
    assert arms["overlapped"].comparison.mean == pytest.approx(0.0)
    assert arms["overlapped"].verdict == "non-inferior, equivalent"
    assert arms["stale"].verdict == "inferior"
    assert arms["sequential"].verdict == arms["swept"].verdict == ""
    assert arms["swept"].differences[1] == pytest.approx(-0.0501)


def test_pairing_removes_what_seeds_share(folder):
    found = by_name(folder)["overlapped"].comparison
    assert found.deviation < 0.0012 < np.std(BASE, ddof=1)


def test_staleness_hurts_from_the_youngest_arm_that_is_worse(folder):
    assert study(folder).hurts_from == 300.0  # three seeds at 40 decide nothing


def test_refreshed_arms_say_nothing_of_age_and_are_drawn_hollow(tmp_path):
    table = Table("robustness")
    add(table, "sequential", BASE, refresh_steps=0)
    add(table, "stale", [b - 0.5 for b in BASE], 30.0, refresh_steps=0)
    add(table, "stale, refreshed", [b - 0.001 for b in BASE], 40.0, refresh_steps=1)
    add(table, "other, refreshed", BASE, 50.0, refresh_steps=1)
    table.write(tmp_path)
    found = study(tmp_path)
    assert found.hurts_from == 30.0
    assert [arm.refreshed for arm in found.arms] == [False, False, True, True]
    _, stale, refreshed, other = looks(found.arms)
    assert stale["mfc"] == stale["color"] == refreshed["color"] != other["color"]
    assert refreshed["mfc"] == other["mfc"] == "white"
    assert "Hollow: refreshed" in caption(found)
    assert "<svg" in as_svg(partial(draw, found))


def test_strengths_are_drawn_where_an_arm_beside_the_reference_has_one(tmp_path):
    table = Table("robustness")
    add(table, "sequential", BASE, refresh_steps=0)
    add(table, "stale, refreshed", BASE, 40.0, refresh_steps=1)
    without = study(table.write(tmp_path / "a").parent)
    add(table, "stale", BASE, 30.0, refresh_steps=0)
    titles = [
        {" ".join(axis.get_title(loc="left").split()) for axis in draw(found).axes}
        for found in (without, study(table.write(tmp_path / "b").parent))
    ]
    assert titles[1] - titles[0] == {"strength of adversaries"}
    assert len(titles[0]) == 4


def test_a_seed_that_failed_is_told_and_forbids_a_favourable_verdict(tmp_path):
    table = Table("robustness")
    add(table, "sequential", BASE)
    add(table, "overlapped", BASE[:7], age=1.0)
    table.add(None, processes=1, launches=1, repetitions=1, status="failed", source="simulated",
              arm="overlapped", role="arm", seed=7, **FIXED)  # fmt: skip
    table.write(tmp_path)
    arm = by_name(tmp_path)["overlapped"]
    assert list(arm.failed) == [7]
    assert arm.verdict == "not shown: 1 seeds failed"
    assert "failed: seeds 7" in describe(study(tmp_path))


def test_too_few_seeds_are_no_verdict_and_the_number_needed_is_told(tmp_path):
    table = Table("robustness")
    add(table, "sequential", BASE[:4])
    add(table, "overlapped", [BASE[n] + 0.02 * (-1) ** n for n in range(4)], age=1.0)
    table.write(tmp_path)
    arm = by_name(tmp_path)["overlapped"]
    assert arm.comparison.needed > 20
    assert arm.verdict == (f"not shown with 4 seeds (about {arm.comparison.needed} seeds needed)")


def test_a_plateau_is_counted_and_stays_in(tmp_path):
    table = Table("robustness")
    add(table, "sequential", BASE)
    add(table, "overlapped", [*BASE[:7], 0.1], age=1.0)
    table.write(tmp_path)
    arm = by_name(tmp_path)["overlapped"]
    assert arm.plateaus == 1
    assert arm.comparison.n == 8
    assert arm.verdict.startswith("not shown")


def test_the_verdicts_table_has_a_row_an_arm(folder):
    rows = list(csv.DictReader(verdicts_table(study(folder)).splitlines()))
    assert [row["arm"] for row in rows] == ["sequential", "overlapped", "stale", "swept"]
    overlapped = rows[1]
    assert overlapped["verdict"] == "non-inferior, equivalent"
    assert float(overlapped["difference_low_95"]) < 0 < float(overlapped["difference_high_95"])
    assert overlapped["source"] == "simulated"
    assert rows[0]["difference"] == ""
    assert (rows[2]["target_reached"], rows[1]["target_reached"]) == ("0", "8")
    assert float(rows[1]["target_simulated_seconds"]) == 103.5


def test_the_command_writes_figures_and_table_alike_each_time(folder, capsys):
    command = ["robustness", str(folder / "robustness.csv")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "stale" in printed
    assert "staleness hurts from a mean of 300.0 updates on" in printed
    first = (folder / "figures" / "robustness.svg").read_bytes()
    assert main(command) == 0
    assert (folder / "figures" / "robustness.svg").read_bytes() == first
    assert (folder / "figures" / "robustness.png").stat().st_size > 10_000
    assert (folder / "robustness.verdicts.csv").is_file()
    html, skipped = page(folder)
    assert not skipped
    assert "non-inferior, equivalent" in html


def test_settings_that_differ_between_rows_are_refused(tmp_path):
    table = Table("robustness")
    add(table, "sequential", BASE)
    table.rows[-1]["margin"] = 0.02
    table.write(tmp_path)
    with pytest.raises(UserError, match="'margin' differs between rows"):
        study(tmp_path)


def test_a_table_without_its_baseline_is_refused(tmp_path):
    table = Table("robustness")
    add(table, "overlapped", BASE, age=1.0)
    table.write(tmp_path)
    with pytest.raises(UserError, match="no row of the arm 'sequential'"):
        study(tmp_path)


def gallery(path, pixels="0 1000 500 250"):
    columns = (
        "schema_version,training,image,label,clean_class,clean_probability,adversary_class,"
        "adversary_probability,epsilon,attack,network,dataset,height,width,clean_pixels,"
        "adversary_pixels"
    )
    rows = [f"1,{t},{i},3,3,0.99,5,0.7,0.3,pgd_40,study,mnist-5k,2,2,0 900 500 250,{pixels}"
            for t in ("before", "after") for i in range(2)]  # fmt: skip
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def test_a_gallery_is_drawn_alike_each_time(tmp_path, capsys):
    path = gallery(tmp_path / "gallery.csv")
    assert main(["gallery", str(path)]) == 0
    names = ("gallery.svg", "gallery.png", "gallery_perturbations.svg")
    first = [(tmp_path / "figures" / name).read_bytes() for name in names]
    assert main(["gallery", str(path)]) == 0
    assert [(tmp_path / "figures" / name).read_bytes() for name in names] == first
    assert "gallery_perturbations.png" in capsys.readouterr().out


def test_a_gallery_with_too_few_pixels_is_refused_in_a_sentence(tmp_path, capsys):
    assert main(["gallery", str(gallery(tmp_path / "gallery.csv", "0 1"))]) == 2
    assert "expected 2 x 2 thousandths" in capsys.readouterr().err
