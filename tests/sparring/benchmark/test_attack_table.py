"""What becomes of the benchmark's table."""

from __future__ import annotations

import pytest

from sparring.benchmark.table import COLUMNS
from sparring.errors import SparringError
from sparring.tables import Table
from tests.sparring.benchmark.fakes import SMALL, Clock, rows_of


def test_runs_are_added_and_nothing_changes(bench, tmp_path):
    path = tmp_path / "attack_benchmark.csv"
    bench(SMALL)[0].measure()
    first = path.read_bytes()
    bench(SMALL)[0].measure()
    assert path.read_bytes().startswith(first)
    rows = rows_of(path)
    assert len(rows) == 24
    assert list(rows[0]) == list(COLUMNS)
    assert len({row["run"] for row in rows}) == 2


def test_rows_stand_in_the_table_as_soon_as_measured(bench, tmp_path):
    benchmark, _, _, _ = bench(SMALL)
    stop = Clock()

    def clock():
        if len(benchmark.rows) >= 6:
            raise KeyboardInterrupt
        return stop()

    benchmark.clock = clock
    with pytest.raises(KeyboardInterrupt):
        benchmark.measure()
    assert len(rows_of(tmp_path / "attack_benchmark.csv")) == 6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "lacks the column 'schema_version'"),
        ((",".join((*COLUMNS, "mine")) + "\n").encode(), "has the unknown column 'mine'"),
        ((",".join(reversed(COLUMNS)) + "\n").encode(), "has its columns in another order"),
        ((",".join(COLUMNS) + "\n1,half").encode(), "ends in the middle of a row"),
    ],
)
def test_another_table_is_refused_and_left_alone(tmp_path, content, said):
    path = tmp_path / "attack_benchmark.csv"
    path.write_bytes(content)
    with pytest.raises(SparringError, match=said):
        Table(path, COLUMNS)
    assert path.read_bytes() == content


def test_messages_stay_on_one_line(tmp_path):
    table = Table(tmp_path / "deep" / "t.csv", COLUMNS)
    table.append([])
    table.append([{"run": "r", "message": 'two\nlines, "quoted" ' + "x" * 900}])
    (row,) = rows_of(table.path)
    assert row["message"].startswith('two lines, "quoted" xxx')
    assert len(row["message"]) == 500
    assert table.path.read_text().count("\n") == 2
