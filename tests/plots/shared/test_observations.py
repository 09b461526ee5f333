import pytest

from harness.errors import InputError, UserError
from plots.shared.observations import select, text
from plots.shared.speedup import by_launch
from tests.plots.scaling_tables import Table


def reasons(selection):
    return {gone.reason: gone.count for gone in selection.left_out}


def test_only_ok_rows_that_are_no_warm_up(tmp_path):
    table = Table("sleep").add(2.0, processes=1, launches=3)
    table.add(None, processes=2, launches=1, status="failed", repetitions=1)
    table.add(None, processes=4, launches=2, status="timeout", repetitions=0)
    selection = select(table.write(tmp_path))
    assert {row["processes"] for row in selection.rows} == {1}
    assert reasons(selection) == {"status failed": 2, "status timeout": 2, "warm-up": 3}
    assert len(selection.rows) + sum(reasons(selection).values()) == selection.total


def two_presets(tmp_path):
    table = Table("sleep").add(2.0, processes=1).add(1.0, processes=2)
    table.add(0.6, processes=4, asked=False)
    return table.write(tmp_path)


def test_points_of_another_preset_are_left_out_unless_asked_for(tmp_path):
    path = two_presets(tmp_path)
    asked, everything = select(path), select(path, all_points=True)
    assert {row["processes"] for row in asked.rows} == {1, 2}
    reason = "not among the points last asked for (--all-points draws them)"
    assert reasons(asked)[reason] == 12
    assert {row["processes"] for row in everything.rows} == {1, 2, 4}
    assert set(reasons(everything)) == {"warm-up"}


def two_environments(tmp_path, **keywords):
    table = Table("sleep")
    for name, started in (("env-new", "2026-02-01"), ("env-old", "2026-01-01")):
        for p in (1, 2):
            asked = name == "env-new"
            table.add(2 / p, processes=p, environment=name, started=started, asked=asked)
    return table.write(tmp_path, **keywords)


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("all_points", [True, False])
def test_environments_never_mix_and_the_newest_is_drawn(tmp_path, points, all_points):
    selection = select(two_environments(tmp_path, points=points), all_points=all_points)
    assert {row["environment"] for row in selection.rows} == {"env-new"}
    assert selection.environment == "env-new"
    # 4 points of 6 launches with a warm-up each; 2 old points of 6 launches with 2 repetitions
    assert reasons(selection) == {
        "warm-up": 24,
        "measured under another environment (env-old)": 24,
    }


def test_an_environment_can_be_chosen_by_the_beginning_of_its_id(tmp_path):
    selection = select(two_environments(tmp_path), environment="env-o")
    assert {row["environment"] for row in selection.rows} == {"env-old"}
    with pytest.raises(UserError, match=r"fits several of the environments .* env-new, env-old"):
        select(tmp_path / "sleep.csv", environment="env-")
    with pytest.raises(UserError, match="is none of the environments"):
        select(tmp_path / "sleep.csv", environment="x")


def test_an_older_workload_is_left_out(tmp_path):
    table = Table("sleep").add(2.0, processes=1, started="2026-01-01")
    table.add(2.0, processes=2, started="2026-01-02")
    for row in table.rows:
        row["workload_version"] = row["processes"]
    selection = select(table.write(tmp_path))
    assert {row["processes"] for row in selection.rows} == {2}


def test_where(tmp_path):
    table = Table("sleep").add(2.0, processes=1, size_mb=1.5).add(1.0, processes=2, size_mb=3)
    path = table.write(tmp_path)
    assert {row["processes"] for row in select(path, where=[("size_mb", "3.0")]).rows} == {2}
    with pytest.raises(UserError, match=r"no row has size_mb=7; found 1\.5, 3"):
        select(path, where=[("size_mb", "7")])
    with pytest.raises(UserError, match="--where names 'colour', expected one of its columns"):
        select(path, where=[("colour", "red")])


def test_parameters_come_from_the_points_table_else_are_guessed(tmp_path):
    table = Table("sleep")
    for p in (1, 2):
        for load in (5, 7):
            table.add(load / p, processes=p, load=load, metrics={"slept": 0.123 * p * load})
    path = table.write(tmp_path)
    assert select(path).parameters == ("load",)
    (tmp_path / "sleep.points.csv").unlink()
    assert select(path).parameters == ("load",)


def test_launches_that_failed_later_are_no_samples(tmp_path):
    table = Table("sleep").add(2.0, processes=1, launches=3)
    last = dict(table.rows[-1])
    table.rows.append({**last, "repetition": 2, "seconds": None, "status": "failed"})
    selection = select(table.write(tmp_path))
    assert {row["launch"] for row in selection.rows} == {"env-a-0", "env-a-1"}
    assert reasons(selection) == {
        "of a launch that ended with status failed": 2, "status failed": 1, "warm-up": 3,
    }  # fmt: skip


@pytest.mark.parametrize("seconds", [0.0, -97.0, float("nan"), float("inf"), 1e300, None])
def test_a_bad_number_names_its_place(tmp_path, seconds):
    table = Table("sleep").add(2.0, processes=1)
    table.rows[1]["seconds"] = seconds
    with pytest.raises(InputError, match="launch env-a-0: expected a number above 0 in 'seconds'"):
        select(table.write(tmp_path))


def test_text_is_what_a_person_writes():
    assert [text(v) for v in (None, True, 32.0, 1234567.0, 0.1, "x")] == [
        "", "true", "32", "1234567", "0.1", "x",
    ]  # fmt: skip


def test_launches_keep_their_order_whatever_the_order_of_rows():
    rows = [({"point": "p", "launch": name}, value) for name, value in (("b", 2.0), ("a", 1.0))]
    assert by_launch(rows) == [1.0, 2.0]
