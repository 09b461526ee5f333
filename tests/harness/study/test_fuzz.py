"""Property-based tests of the study grammar and of resuming; `make torture` has many examples."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.study.points import expand
from harness.study.study import study_of
from harness.study.toml_source import TomlSource
from harness.tables.collect import collect
from harness.tables.records import launches_folder, record_path, write_record
from harness.tables.table import ROW_COLUMNS, read_cells, rows_path
from tests.harness.studies import record

#: More of them where somebody has the time (`make torture`).
EXAMPLES = int(os.environ.get("SPARRING_EXAMPLES", "60"))

STUDIES = sorted((Path(__file__).parents[3] / "experiments").glob("*.toml"))
PIECES = st.sampled_from(
    ["[", "]", "\"", "=", "{", "}", "\n", "1e999", "nan", "-1", "true", "[[sweep.points]]", "\0",
     "processes = 0", "where = ['x ==']", "é", "[measure]", "launches = 'two'", "9" * 30]
)  # fmt: skip


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
@settings(max_examples=max(5, EXAMPLES // 10))
@given(data=st.data())
def test_damaged_study_is_a_study_or_a_sentence(path, data):
    text = path.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    fault, points = "", []
    try:
        points = expand(study_of(TomlSource(path, text), None, ()))
    except UserError as error:
        fault = str(error)
    assert fault.startswith(str(path)) if fault else points
    assert len({point.id for point in points}) == len(points)


@settings(max_examples=EXAMPLES)
@given(
    steps=st.lists(
        st.one_of(st.integers(0, 9), st.just("collect"), st.just("lose files"), st.just("torn")),
        max_size=25,
    )
)
def test_rows_only_grow_and_each_stands_once(steps):
    """Launches end (again), collections run at any time, launch files go or are torn."""
    with tempfile.TemporaryDirectory() as place:
        results = Path(place)
        folder = launches_folder(results, "sleepy")
        folder.mkdir(parents=True)
        collected: set[str] = set()
        waiting: set[str] = set()
        for step in [*steps, "collect"]:
            if isinstance(step, int):
                launch = f"20260101T000000-{step:08x}"
                write_record(folder, record(launch, seconds=0.5 + step))
                waiting |= {launch}
            elif step == "lose files":
                for launch in collected:
                    record_path(folder, "aaaaaaaaaaaa", launch).unlink(missing_ok=True)
                waiting -= collected
            elif step == "torn":
                (folder / "aaaaaaaaaaaa-torn.json").write_text('{"study": "sl')
            else:
                collect(results, "sleepy")
                collected |= waiting
                found = []
                if rows_path(results, "sleepy").exists():
                    found = read_cells(rows_path(results, "sleepy"), ROW_COLUMNS)[1]
                keys = [(row["launch"], row["repetition"]) for row in found]
                assert sorted(keys) == sorted((name, r) for name in collected for r in "01")
