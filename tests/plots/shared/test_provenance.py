from __future__ import annotations

import json
import os

import pytest

from plots.shared import provenance


@pytest.mark.parametrize(
    "kind", ["absent", "pipe", "folder", "no JSON", "no object", "nested", "latin-1"]
)
def test_what_is_no_environment_file_explains_nothing_and_stops_nothing(tmp_path, kind):
    path = tmp_path / "study.environment.json"
    texts = {"no JSON": b"{", "no object": b"[1]", "nested": b"[" * 10**6, "latin-1": b"\xe9"}
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in texts:
        path.write_bytes(texts[kind])
    assert provenance.load(tmp_path / "study.csv") == {}


def test_environments_by_id(tmp_path):
    known = {"e1": {"fingerprint": {"cpu": {"model": "A(R) CPU", "cores": 2}}}}
    (tmp_path / "study.environment.json").write_text(json.dumps(known))
    found = provenance.load(tmp_path / "study.csv")
    assert provenance.machine(found, "e1") == "A CPU, 2 cores"
    assert provenance.machine(found, "e2") == "CPU not recorded"


def test_of_several_sessions_the_last_is_told_and_many_packages_are_one_text():
    packages = {f"p{n}": "1.0" for n in range(provenance.MANY + 1)}
    sessions = [{"host": "old"}, {"host": "new", "packages": packages, "threads": [1, 2]}]
    told = dict(provenance.flat({"sessions": sessions, "cpu": {"cores": 2}, "none": None}))
    assert told.pop("sessions: the last.packages").startswith("p0 1.0, p1 1.0, ")
    assert told == {
        "sessions": "2", "sessions: the last.host": "new", "sessions: the last.threads": "1, 2",
        "cpu.cores": "2", "none": "",
    }  # fmt: skip
