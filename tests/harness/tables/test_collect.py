from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.tables.collect import collect
from harness.tables.records import (
    launches_folder,
    read_records,
    read_stop,
    write_record,
    write_session,
)
from harness.tables.table import (
    RANK_COLUMNS,
    ROW_COLUMNS,
    ranks_path,
    read_cells,
    read_rows,
    rows_path,
)
from tests.harness.studies import environment, record, rows_of_table

NASTY = 'a, "b"\r\nc\rd\n e;\t\u2028 é 日本 \x00'


def put(results, *records):
    folder = launches_folder(results, "sleepy")
    folder.mkdir(parents=True, exist_ok=True)
    return [write_record(folder, item) for item in records]


def stand(path, content):
    """Put a text, or what is no file, in a file's place."""
    path.unlink(missing_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    else:
        content(path)


def session(name="s1", **changes):
    return {
        "session": name, "environment": "eeeeeeeeeeee", "fingerprint": {"python": "3"},
        "started_at": "2026-01-01T00:00:00.000Z", "provenance": {"host": "here"}, **changes,
    }  # fmt: skip


def test_rows_of_a_launch(tmp_path):
    put(tmp_path, record())
    collected = collect(tmp_path, "sleepy")
    assert (collected.rows, collected.added) == (2, 2)
    warmup, timed = rows_of_table(tmp_path)
    assert list(timed) == [*ROW_COLUMNS, "loss"]
    assert (warmup["warmup"], timed["warmup"]) == ("true", "false")
    assert (timed["seconds"], timed["status"], timed["message"]) == ("0.5", "ok", "")
    assert (timed["cores"], timed["loss"], timed["backend"]) == ("1", "0.25", "")
    header, ranks = read_cells(ranks_path(tmp_path, "sleepy"), RANK_COLUMNS)
    assert header == list(RANK_COLUMNS)
    assert [(rank["repetition"], rank["host"]) for rank in ranks] == [("0", "here"), ("1", "here")]


def test_second_collection_leaves_every_byte(tmp_path):
    parameters = {**record().parameters, "note": NASTY}
    put(tmp_path, record(message=NASTY, status="failed"), record("2", parameters=parameters))
    write_session(launches_folder(tmp_path, "sleepy"), session())
    collect(tmp_path, "sleepy")
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.glob("sleepy.*")}
    assert {path.name for path in before} == {
        "sleepy.csv", "sleepy.schema.json", "sleepy.ranks.csv", "sleepy.ranks.schema.json",
        "sleepy.environment.json",
    }  # fmt: skip
    assert collect(tmp_path, "sleepy").added == 0
    assert before == {p: (p.read_bytes(), p.stat().st_ino) for p in tmp_path.glob("sleepy.*")}


def test_text_survives_the_way_through_the_tables(tmp_path):
    parameters = {**record().parameters, "note": NASTY}
    put(tmp_path, record(status="failed", message=NASTY, parameters=parameters))
    collect(tmp_path, "sleepy")
    put(tmp_path, record("2"))
    collect(tmp_path, "sleepy")
    rows = rows_of_table(tmp_path)
    assert len(rows) == 5
    assert (rows[2]["message"], rows[2]["note"]) == (NASTY, NASTY)
    assert read_rows(rows_path(tmp_path, "sleepy"))[2]["note"] == NASTY


def test_huge_message_does_not_bar_the_table(tmp_path):
    put(tmp_path, record(status="failed", message="x" * 300_000))
    collect(tmp_path, "sleepy")
    put(tmp_path, record("2"))
    assert collect(tmp_path, "sleepy").rows == 5


def test_text_that_is_no_unicode_is_escaped(tmp_path):
    put(tmp_path, record(status="failed", message="name \udc80"))
    collect(tmp_path, "sleepy")
    assert rows_of_table(tmp_path)[2]["message"] == "name \\udc80"


def test_rows_stay_when_their_launch_files_are_gone(tmp_path):
    (path,) = put(tmp_path, record())
    collect(tmp_path, "sleepy")
    before = rows_path(tmp_path, "sleepy").read_bytes()
    path.unlink()
    put(tmp_path, record("2"))
    collect(tmp_path, "sleepy")
    assert rows_path(tmp_path, "sleepy").read_bytes().startswith(before)
    assert len(rows_of_table(tmp_path)) == 4


def test_new_columns_are_appended_and_old_cells_untouched(tmp_path):
    put(tmp_path, record())
    collect(tmp_path, "sleepy")
    old = rows_of_table(tmp_path)
    newer = record("2", parameters={**record().parameters, "strategy": "pipeline"})
    for repetition in newer.repetitions:
        repetition["metrics"]["accuracy"] = 0.5
    put(tmp_path, newer)
    collect(tmp_path, "sleepy")
    header, rows = read_cells(rows_path(tmp_path, "sleepy"), ROW_COLUMNS)
    assert header == [*ROW_COLUMNS, "loss", "strategy", "accuracy"]
    assert [{name: row[name] for name in old[0]} for row in rows[:2]] == old
    assert [row["strategy"] for row in rows] == ["", "", "pipeline", "pipeline"]
    assert [row["accuracy"] for row in rows] == ["", "", "0.5", "0.5"]


def test_failed_launch_keeps_what_it_had_finished_and_adds_its_own_row(tmp_path):
    put(tmp_path, record("1", status="timeout", message="killed; log: logs/x.log"),
        record("2", status="skipped", message="too many", repetitions=[]))  # fmt: skip
    collect(tmp_path, "sleepy")
    assert [(r["launch"], r["repetition"], r["status"], r["seconds"], r["message"])
            for r in rows_of_table(tmp_path)] == [
        ("1", "0", "ok", "0.5", ""), ("1", "1", "ok", "0.5", ""),
        ("1", "2", "timeout", "", "killed; log: logs/x.log"),
        ("2", "0", "skipped", "", "too many"),
    ]  # fmt: skip


def test_rows_are_in_the_order_of_the_launches(tmp_path):
    times = {"b": "2026-01-01T00:00:01.000Z", "c": "2026-01-01T00:00:00.000Z"}
    put(tmp_path, *(record(name, started_at=time) for name, time in times.items()))
    collect(tmp_path, "sleepy")
    assert [row["launch"] for row in rows_of_table(tmp_path)] == ["c", "c", "b", "b"]


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "5", '{"study": "sleepy"}', "\x00", '"text"',
        {"repetitions": [{"seconds": 1.0}]},
        {"repetitions": []},
        {"parameters": {}},
        {"status": "splendid"},
        {"schema_version": 2},
        {"started_at": None},
        {"parameters": {"processes": "two", "threads_per_process": 1}},
        {"parameters": {"processes": None, "threads_per_process": 1}},
        {"parameters": {"processes": 1, "threads_per_process": 0}},
        {"parameters": {"processes": 1, "threads_per_process": 1, "x": []}},
        {"repetitions": [{**record().repetitions[1], "details": 3}]},
        {"repetitions": [{**record().repetitions[1], "details": [None]}]},
        {"repetitions": [{**record().repetitions[1], "metrics": {"x": {}}}]},
        *({"repetitions": [{**record().repetitions[1], "seconds": seconds}]}
          for seconds in (-97.0, 0.0, math.nan, math.inf, 1e300, True, None)),
        "[" * 99_999,
        Path.mkdir, os.mkfifo,
    ],
)  # fmt: skip
def test_launch_file_that_is_none_is_told_and_left_out(tmp_path, caplog, content):
    good, bad = put(tmp_path, record("good"), record("bad"))
    if isinstance(content, dict):
        content = json.dumps({**json.loads(bad.read_text()), **content})
    stand(bad, content)
    with caplog.at_level(logging.WARNING):
        assert collect(tmp_path, "sleepy").rows == 2
    assert str(bad) in caplog.text
    assert "left out" in caplog.text
    assert good.is_file()


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"session": "s"}', "[" * 99_999, Path.mkdir, os.mkfifo,
        json.dumps(session(environment=[])), json.dumps(session(provenance=[])),
        json.dumps(session(fingerprint={"mpi": "none"})), json.dumps(session(started_at=5)),
    ],
)  # fmt: skip
def test_session_file_that_is_none_is_told_and_left_out(tmp_path, caplog, content):
    put(tmp_path, record())
    folder = launches_folder(tmp_path, "sleepy")
    write_session(folder, session("s2"))
    stand(folder / "session-s1.json", content)
    assert collect(tmp_path, "sleepy").rows == 2
    assert "session-s1.json" in caplog.text
    known = json.loads((tmp_path / "sleepy.environment.json").read_text())
    assert [entry["session"] for entry in known["eeeeeeeeeeee"]["sessions"]] == ["s2"]


def mangled(kind, good: bytes) -> bytes:
    return {
        "foreign": b"a,b\n1,2\n",
        "empty": b"",
        "semicolons": good.replace(b",", b";"),
        "truncated row": good[:-40],
        "open quote": good + b'1,"sleepy',
        "another cell": good.replace(b"\n", b",x\n", 2).replace(b",x\n", b"\n", 1),
        "newer schema": good.replace(b"\n1,", b"\n2,", 1),
        "no schema": good.replace(b"\n1,", b"\n,", 1),
        "column twice": good.replace(b",loss\n", b",status\n", 1),
        "warmup maybe": good.replace(b",false,", b",maybe,", 1),
        "latin": good.replace(b"sleepy", b"sl\xe9epy", 1),
        "utf-16": good.decode().encode("utf-16"),
    }[kind]


@pytest.mark.parametrize("kind", [
    "foreign", "empty", "semicolons", "truncated row", "open quote", "another cell",
    "newer schema", "no schema", "column twice", "latin", "utf-16",
    "warmup maybe",
])  # fmt: skip
def test_table_that_is_none_is_refused_and_left_alone(tmp_path, kind):
    put(tmp_path, record())
    collect(tmp_path, "sleepy")
    path = rows_path(tmp_path, "sleepy")
    content = mangled(kind, path.read_bytes())
    assert content != path.read_bytes()
    path.write_bytes(content)
    put(tmp_path, record("2"))
    with pytest.raises(InputError) as caught:
        collect(tmp_path, "sleepy")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "5", '{"e": 5}', '{"e": {}}', '{"e": {"sessions": 3}}', '{"e": {"sessions": [[]]}}',
     "[" * 99_999, Path.mkdir, os.mkfifo],
)  # fmt: skip
def test_environments_that_are_none_are_told_and_left_alone(tmp_path, caplog, content):
    path = tmp_path / "sleepy.environment.json"
    stand(path, content)
    put(tmp_path, record())
    write_session(launches_folder(tmp_path, "sleepy"), session())
    assert collect(tmp_path, "sleepy").rows == 2
    assert f"{path} is left as it is: expected JSON keyed by environment" in caplog.text
    assert path.read_text() == content if isinstance(content, str) else not path.is_file()


def test_stop_that_is_none_is_no_stop(tmp_path):
    path = tmp_path / "stop-e-p.json"
    for content in ("[" * 99_999, "[]", "{}", Path.mkdir):
        stand(path, content)
        assert read_stop(tmp_path, "e", "p", 1.0) is None


def test_another_file_of_a_launch_counts_nowhere(tmp_path, caplog):
    (own,) = put(tmp_path, record(seconds=0.5))
    changed = own.read_text().replace('"seconds": 0.5', '"seconds": 9.5')
    own.with_name(f"{own.stem} (copy).json").write_text(changed)
    (found,) = read_records(own.parent)
    assert found.seconds == [0.5]
    assert f"{own.stem} (copy).json is another file of one launch and is left out" in caplog.text
    assert collect(tmp_path, "sleepy").rows == 2
    own.unlink()
    (found,) = read_records(own.parent)
    assert found.seconds == [9.5]


@pytest.mark.parametrize("place", ["sleepy.csv", "sleepy.schema.json", "sleepy.ranks.csv"])
@pytest.mark.parametrize(("kind", "told"), [
    (Path.mkdir, "is a folder; expected a file"),
    (os.mkfifo, "is no regular file; expected one"),
])  # fmt: skip
def test_what_stands_in_a_table_s_place_is_told_by_its_name(tmp_path, place, kind, told):
    kind(tmp_path / place)
    with pytest.raises(OSError, match=told) as caught:
        collect(tmp_path, "sleepy")
    assert caught.value.filename == str(tmp_path / place)


def test_table_behind_a_symbolic_link_is_written_there(tmp_path):
    (tmp_path / "archive").mkdir()
    path = rows_path(tmp_path, "sleepy")
    path.symlink_to("archive/table.csv")
    put(tmp_path, record())
    collect(tmp_path, "sleepy")
    put(tmp_path, record("2"))
    collect(tmp_path, "sleepy")
    assert path.is_symlink()
    assert (tmp_path / "archive" / "table.csv").read_text() == path.read_text()
    assert len(rows_of_table(tmp_path)) == 4
    assert [entry.name for entry in (tmp_path / "archive").iterdir()] == ["table.csv"]


def test_table_saved_by_a_spreadsheet_goes_on(tmp_path):
    put(tmp_path, record(status="failed", message="of\ntwo lines"))
    collect(tmp_path, "sleepy")
    path = rows_path(tmp_path, "sleepy")
    before = rows_of_table(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert collect(tmp_path, "sleepy").added == 0
    put(tmp_path, record("2"))
    assert collect(tmp_path, "sleepy").added == 2
    rows = rows_of_table(tmp_path)
    assert rows[2]["message"] == "of\r\ntwo lines"
    assert rows[:2] == before[:2]
    assert len(read_rows(path)) == 5


def test_environments_gather_their_sessions(tmp_path):
    folder = launches_folder(tmp_path, "sleepy")
    put(tmp_path, record())
    write_session(folder, session("s2", started_at="2026-01-02"))
    write_session(folder, session("s1"))
    collect(tmp_path, "sleepy")
    (folder / "session-s1.json").unlink()
    write_session(folder, session("s3", environment="ffffffffffff"))
    collect(tmp_path, "sleepy")
    known = json.loads((tmp_path / "sleepy.environment.json").read_text())
    found = {key: [s["session"] for s in entry["sessions"]] for key, entry in known.items()}
    assert found == {"eeeeeeeeeeee": ["s1", "s2"], "ffffffffffff": ["s3"]}


COLLECTOR = """
import sys
from pathlib import Path
from tests.harness.studies import record
from harness.tables.collect import collect
from harness.tables.records import launches_folder, write_record
results, name = Path(sys.argv[1]), sys.argv[2]
folder = launches_folder(results, "sleepy")
folder.mkdir(parents=True, exist_ok=True)
for number in range(15):
    path = write_record(folder, record(f"{name}-{number}"))
    collect(results, "sleepy")
    path.unlink()  # so that a row that the other collector loses is lost for good
"""


def test_collectors_at_once_lose_nothing(tmp_path, request):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COLLECTOR, str(tmp_path), name],
            env=environment(PYTHONPATH=str(request.config.rootpath)), cwd=request.config.rootpath,
        )
        for name in "ab"
    ]  # fmt: skip
    assert [process.wait(60) for process in processes] == [0, 0]
    found = [(row["launch"], row["repetition"]) for row in rows_of_table(tmp_path)]
    assert len(found) == len(set(found)) == 60


def test_what_is_no_number_stays_so(tmp_path):
    launch = record()
    launch.repetitions[1]["metrics"] = {"loss": float("nan"), "rate": float("inf"), "none": None}
    (path,) = put(tmp_path, launch)
    assert read_records(path.parent)[0].repetitions[1]["metrics"]["rate"] == float("inf")
    collect(tmp_path, "sleepy")
    row = rows_of_table(tmp_path)[1]
    assert (row["loss"], row["rate"], row["none"]) == ("nan", "inf", "")
    row = read_rows(rows_path(tmp_path, "sleepy"))[1]
    assert math.isnan(row["loss"])
    assert (row["rate"], row["none"]) == (float("inf"), None)
