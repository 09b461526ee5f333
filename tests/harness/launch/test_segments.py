from __future__ import annotations

import mmap
import os
import socket
import time

import pytest

from harness.launch import segments


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(segments, "PLACE", folder)
    return folder


def test_what_a_dead_launch_noted_is_removed_and_nothing_else(place, tmp_path):
    for name in ("mpich_shm_dead_0", "mpich_shm_alive_0", "mpich_shm_other_0", "data"):
        (place / name).write_bytes(b"x" * mmap.PAGESIZE)
    running = tmp_path / "running"
    running.mkdir()
    with (place / "mpich_shm_alive_0").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        segments.note(running)
        (note,) = running.iterdir()
        assert note.name.endswith(f":{socket.gethostname()}:mpich_shm_alive_0")
        for host, name in (
            (socket.gethostname(), "mpich_shm_dead_0"), (socket.gethostname(), "mpich_shm_gone_0"),
            ("other-host", "mpich_shm_other_0"), (socket.gethostname(), "data"),
        ):  # fmt: skip
            (running / f"shared-memory:{host}:{name}").touch()
        segments.remove(running)
        left = {path.name for path in place.iterdir()}
        assert left == {"mpich_shm_alive_0", "mpich_shm_other_0", "data"}
    segments.remove(running)
    assert {path.name for path in place.iterdir()} == {"mpich_shm_other_0", "data"}


def test_room(place, monkeypatch):
    assert segments.lacking_room(1) == ""
    monkeypatch.setattr(segments, "PLACE", place / "absent")
    assert segments.lacking_room(2**60) == ""


def test_segment_that_nobody_noted_is_known_by_its_being_new(tmp_path, monkeypatch):
    """Ranks may be killed between making theirs and noting it."""
    monkeypatch.setattr(segments, "PLACE", tmp_path)
    for name in ("mpich_shm_before", "data"):
        (tmp_path / name).touch()
    before = segments.present()
    (tmp_path / "mpich_shm_new").touch()
    assert segments.present() - before == {"mpich_shm_new"}
    segments.remove(tmp_path / "running", segments.present() - before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mpich_shm_before"]


def test_segments_that_killed_ranks_left(place, monkeypatch):
    monkeypatch.setattr(segments, "_MAPPED_SECONDS", 0.05)
    now = time.time()
    for name, age in (("before", 90.0), ("left", 30.0), ("mapped", 30.0), ("new", 0.0)):
        path = place / f"mpich_shm_{name}"
        path.write_bytes(b"x" * mmap.PAGESIZE)
        os.utime(path, (now - age, now - age))
    with (place / "mpich_shm_mapped").open("rb") as file, \
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):  # fmt: skip
        segments.remove_abandoned(now - 60)
    left = {path.name.removeprefix("mpich_shm_") for path in place.iterdir()}
    assert left == {"before", "mapped"}
