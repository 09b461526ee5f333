from __future__ import annotations

import csv
import errno
import io
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.files import write_whole
from harness.tables.collect import collect
from harness.tables.records import launches_folder, write_record
from harness.tables.schemas import schema_path
from harness.tables.table import (
    counts,
    format_csv,
    read_cells,
    read_rows,
    rows_path,
    text_of,
    uncounted,
)
from tests.harness.studies import record

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (False, "false"), (3, "3"), (0.1, "0.1"), (1e-3, "0.001"),
        (1e-30, "1e-30"), (1 / 3, "0.3333333333333333"), (float("nan"), "nan"), ("", ""),
        ("a\udcffb", "a\\udcffb"), ("é", "é"),
    ],
)  # fmt: skip
def test_cell(value, text):
    assert text_of(value) == text


@given(st.floats(allow_nan=False))
def test_float_comes_back(value):
    assert float(text_of(value)) == value


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_any_text_comes_back_from_csv(rows):
    text = format_csv(["a", "b"], [{"a": a, "b": b} for a, b in rows])
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [list(row) for row in rows]


def test_absent_column_is_an_empty_cell():
    assert format_csv(["a", "b"], [{"b": "1"}, {"a": "2"}]) == "a,b\n,1\n2,\n"


def test_file_is_whole_shared_and_left_alone_if_equal(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    assert write_whole(path, "é\r\n")
    assert path.read_bytes() == "é\r\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    inode = path.stat().st_ino
    assert not write_whole(path, "é\r\n")
    assert path.stat().st_ino == inode
    assert write_whole(path, "other")
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]


def test_file_that_is_no_text_is_replaced(tmp_path):
    path = tmp_path / "points.csv"
    path.write_bytes(b"\xff\xfe")
    assert write_whole(path, "a\n")
    assert path.read_text() == "a\n"


def test_what_cannot_be_put_in_place_leaves_no_litter(tmp_path):
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(OSError, match="table"):
        write_whole(tmp_path / "table.csv", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_full_disk_is_told_by_the_file_s_name(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "table.csv", "text")
    assert caught.value.filename == str(tmp_path / "table.csv")
    assert not list(tmp_path.iterdir())


def test_what_is_a_sample_of_its_point():
    def row(launch, status="ok", warmup=False):
        return {"point": "p", "launch": launch, "status": status, "warmup": warmup}

    told = {
        "": [row("1"), row("2"), row(None)],
        "warm-up": [row("1", warmup=True), row("1", warmup="TRUE")],
        "of a launch that ended with status timeout": [row("3"), row("3")],
        "status timeout": [row("3", "timeout"), row(None, "timeout")],
    }
    rows = [row for group in told.values() for row in group]
    assert uncounted(rows) == [reason for reason, group in told.items() for _ in group]
    assert counts("ok", warmup=False)
    assert not counts("ok", warmup=True)
    assert not counts("failed", warmup=False)


def test_message_names_the_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"of\ntwo",1\n2\n')
    with pytest.raises(InputError, match=r"t\.csv:4: expected 2 cells in each row, found 1"):
        read_cells(path, ["a"])


@pytest.fixture
def table(tmp_path):
    folder = launches_folder(tmp_path, "sleepy")
    folder.mkdir(parents=True)
    for number, note in enumerate(("None", "NA", "12")):
        parameters = {**record().parameters, "note": note, "rate": 0.5}
        write_record(folder, record(str(number), point="123456789012", parameters=parameters))
    write_record(folder, record("9", status="failed", message="told", repetitions=[]))
    collect(tmp_path, "sleepy")
    return rows_path(tmp_path, "sleepy")


def test_rows_have_typed_values(table):
    rows = read_rows(table)
    assert [row["warmup"] for row in rows[:2]] == [True, False]
    assert sum(row["seconds"] or 0 for row in rows) == 3.0
    assert rows[0]["point"] == "123456789012"
    assert [row["note"] for row in rows[::2]] == ["None", "NA", "12", None]
    assert [row["rate"] for row in rows[::2]] == [0.5, 0.5, 0.5, None]


def test_rows_of_an_empty_table(table):
    table.write_text(table.read_text().partition("\n")[0] + "\n")
    assert read_rows(table) == []


LOOKALIKES = ["1.1", "1.10", "true", "True", "1e5", "100000.0", "0012", "12", "nan", "inf", "None"]


def put(folder, number, value):
    parameters = {**record().parameters, "value": value}
    write_record(folder, record(str(number), parameters=parameters))


@pytest.mark.parametrize(
    "values",
    [LOOKALIKES, ["1.1", "1.2"], ["1", "2"], ["true", "false"], [1.1, 2.5], [1, 2], [True, False],
     [2**53, 2**53 + 1], [1, 2.5], [1e300, 1e-300], ["auto", "12"]],
)  # fmt: skip
def test_values_come_back_as_the_study_gave_them(tmp_path, values):
    folder = launches_folder(tmp_path, "sleepy")
    folder.mkdir(parents=True)
    for number, value in enumerate(values):
        put(folder, f"{number:02}", value)
    collect(tmp_path, "sleepy")
    found = [row["value"] for row in read_rows(rows_path(tmp_path, "sleepy"))[1::2]]
    assert [(type(value), value) for value in found] == [(type(value), value) for value in values]


def test_texts_stay_texts_when_later_rows_hold_numbers(tmp_path):
    folder = launches_folder(tmp_path, "sleepy")
    folder.mkdir(parents=True)
    put(folder, 0, "1.10")
    collect(tmp_path, "sleepy")
    put(folder, 1, 1.5)
    collect(tmp_path, "sleepy")
    found = [row["value"] for row in read_rows(rows_path(tmp_path, "sleepy"))[1::2]]
    assert found == ["1.10", "1.5"]


def test_table_from_before_schemas_goes_on(tmp_path):
    folder = launches_folder(tmp_path, "sleepy")
    folder.mkdir(parents=True)
    put(folder, 0, 1.5)
    collect(tmp_path, "sleepy")
    table = rows_path(tmp_path, "sleepy")
    schema_path(table).unlink()
    (path,) = folder.glob("*.json")
    path.unlink()
    assert read_rows(table)[1]["value"] == 1.5
    put(folder, 1, "1.10")
    collect(tmp_path, "sleepy")
    assert [row["value"] for row in read_rows(table)[1::2]] == ["1.5", "1.10"]


def test_without_a_schema_no_two_cells_are_merged(table):
    schema_path(table).unlink()
    text = table.read_text()
    for old, new in (("None", "1.1"), ("NA", "1.10"), (",12,", ",1e5,")):
        text = text.replace(old, new)
    table.write_text(text)
    assert [row["note"] for row in read_rows(table)[::2]] == ["1.1", "1.10", "1e5", None]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("[]", "expected a JSON object from column to kind"),
        ('{"note": "date"}', "expected a JSON object from column to kind"),
        ('{"note": "number"}', "the column 'note' holds 'None'; expected a number"),
    ],
)
def test_schema_that_is_none(table, schema, told):
    schema_path(table).write_text(schema)
    with pytest.raises(InputError, match=told):
        read_rows(table)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",0.5,e", ",soon,e", "the column 'seconds' holds 'soon'; expected a number"),
        ("\n1,", "\n9,", "expected schema_version 1 or older, found '9'"),
        ("seconds,", "secs,", "the header lacks the column 'seconds'"),
    ],
)
def test_rows_of_what_is_no_table(table, old, new, told):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=told):
        read_rows(table)


def test_rows_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no such table; run the study first"):
        read_rows(tmp_path / "absent.csv")
