from __future__ import annotations

import csv
import io
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import record

from harness.collect import collect
from harness.errors import InputError
from harness.records import launches_folder, write_record
from harness.tables import format_csv, read_cells, read_frame, rows_path, text_of, write_whole

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


def test_frame_has_typed_columns(table):
    frame = read_frame(table)
    assert frame["warmup"].dtype == bool
    assert frame["seconds"].sum() == 3.0
    assert frame["point"].tolist()[0] == "123456789012"
    assert frame["note"].dropna().unique().tolist() == ["None", "NA", "12"]
    assert frame["rate"].isna().sum() == 1


def test_frame_of_an_empty_table(table):
    table.write_text(table.read_text().partition("\n")[0] + "\n")
    assert len(read_frame(table)) == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",0.5,e", ",soon,e", "the column 'seconds' holds text; expected numbers"),
        ("\n1,", "\n9,", "expected schema_version 1 or older, found '9'"),
        ("seconds,", "secs,", "the header lacks the column 'seconds'"),
    ],
)
def test_frame_of_what_is_no_table(table, old, new, told):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=told):
        read_frame(table)


def test_frame_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no such table; run the study first"):
        read_frame(tmp_path / "absent.csv")
