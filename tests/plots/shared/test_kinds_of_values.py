"""From a study's TOML through launch files and tables to a figure: values keep their kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.run.points_table import write_points
from harness.run.schedule import states_of
from harness.study.points import expand
from harness.study.study import study_of
from harness.study.toml_source import TomlSource
from harness.tables.collect import collect
from harness.tables.records import LaunchRecord, launches_folder, write_record
from harness.tables.schemas import schema_path
from harness.tables.table import read_rows
from plots.scaling.table import analyse
from plots.shared.observations import select

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"
STUDY = """
name = "naps"
workload = "naps:Naps"
[sweep.product]
release = [{releases}]
processes = [1, 2]
"""
SECONDS = (0.08, 0.02)


def table(folder, releases, launches=2):
    """The table of a study in which each release takes another time."""
    text = STUDY.format(releases=", ".join(f'"{release}"' for release in releases))
    study = study_of(TomlSource(Path("study.toml"), text), None, ())
    points, records = expand(study), []
    for point in points:
        seconds = SECONDS[releases.index(point.parameters["release"])] / point.processes
        for launch in range(launches):
            records.append(LaunchRecord(
                study="naps", point=point.id, launch=str(launch), order=0, source="measured",
                workload="naps:Naps", workload_version="1e5", environment="e1",
                parameters=point.parameters, status="ok", message="", started_at="2026-01-01",
                repetitions=[{"repetition": 0, "warmup": False, "seconds": seconds, "metrics": {},
                              "started_at": "2026-01-01", "ranks": []}],
            ))  # fmt: skip
    launches_of = launches_folder(folder, "naps")
    launches_of.mkdir(parents=True)
    for record in records:
        write_record(launches_of, record)
    collect(folder, "naps")
    write_points(folder, study, states_of(points, records, "e1").values(), "e1")
    return folder / "naps.csv"


def series(path, **options):
    """Name, processes, launches and median seconds of what a figure draws."""
    return [
        (panel.facet.name, point.cell.processes, point.cell.seconds.n,
         round(point.cell.seconds.median, 6))
        for panel in analyse(select(path, **options)).panels for point in panel.points
    ]  # fmt: skip


LOOKALIKES = [("1.1", "1.10"), ("True", "true"), ("1e5", "100000.0"), ("0012", "12"), ("1.1", "2")]


@pytest.mark.parametrize("releases", LOOKALIKES)
def test_texts_that_look_alike_are_series_of_their_own(tmp_path, releases):
    found = series(table(tmp_path, releases))
    slow, fast = (f"release {release}" for release in releases)
    assert sorted(found) == sorted(
        [(slow, 1, 2, 0.08), (slow, 2, 2, 0.04), (fast, 1, 2, 0.02), (fast, 2, 2, 0.01)]
    )


@pytest.mark.parametrize("releases", LOOKALIKES)
def test_where_means_the_text_that_was_typed(tmp_path, releases):
    path = table(tmp_path, releases)
    rows = select(path, where=[("release", releases[1])]).rows
    assert {row["release"] for row in rows} == {releases[1]}


@pytest.mark.parametrize("releases", [pair for pair in LOOKALIKES if pair != ("1.1", "2")])
def test_tables_without_a_schema_merge_nothing(tmp_path, releases):
    path = table(tmp_path, releases)
    for each in tmp_path.glob("*.csv"):
        schema_path(each).unlink()
    assert len({name for name, *_ in series(path)}) == 2


def test_published_tables_are_read_whether_they_have_a_schema_or_not():
    paths = sorted(PUBLISHED.rglob("*.csv"))
    assert paths
    for path in paths:
        rows = read_rows(path, (), newest=3)
        for name in ("processes", "seconds", "adversary_steps", "step_size", "batch_size"):
            held = {type(row[name]) for row in rows if row.get(name) is not None}
            assert held <= {int, float}, (path, name)
