"""Libraries are built once, by one process, from all that their name stands for."""

from __future__ import annotations

import logging
import os
import signal
import time

import pytest

from sparring.fused.building import build as building
from sparring.fused.building import cache, compiler
from sparring.fused.building.build import BuildError, Job, build_all
from tests.sparring.fused.building.answers import (
    BROKEN,
    CXX,
    GENERIC,
    answer,
    compilations,
    make,
    start,
    write_wrapper,
)

pytestmark = pytest.mark.skipif(CXX is None, reason="no C++ compiler")


def test_builds_once_and_again_from_the_cache(source, tmp_path, wrapper):
    library = make(source, tmp_path / "cache")
    assert library.is_absolute()
    assert library.parent == tmp_path / "cache"
    assert answer(library) == 123
    assert make(source, tmp_path / "cache") == library
    assert compilations(wrapper) == 1
    assert {path.suffix for path in library.parent.iterdir()} == {".so", ".lock"}


def test_further_flags_of_the_users_make_another_library(source, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CXXFLAGS", "")
    plain = make(source, tmp_path / "cache")
    monkeypatch.setenv("SPARRING_CXXFLAGS", "-DFURTHER='two words' -UFACTOR -DFACTOR=9")
    further = make(source, tmp_path / "cache")
    assert (further == plain, answer(plain)) == (False, 123)
    monkeypatch.setenv("SPARRING_CXXFLAGS", "-ffast-math")
    with pytest.raises(BuildError, match="-ffast-math is refused"):
        make(source, tmp_path / "cache")
    monkeypatch.setenv("SPARRING_CXXFLAGS", "-D'")
    with pytest.raises(BuildError, match="SPARRING_CXXFLAGS=-D' cannot be split into words"):
        make(source, tmp_path / "cache")


def test_key_holds_everything_that_the_library_is_made_from(source, tmp_path, monkeypatch, wrapper):
    folder = tmp_path / "cache"
    libraries = [make(source, folder)]
    libraries.append(make(source, folder, shape=3))
    libraries.append(make(source, folder, factor=4))
    libraries.append(make(source, folder, flags=("-DMORE",)))
    assert [answer(library) for library in libraries] == [123, 133, 124, 123]
    monkeypatch.setenv("CXX", f"{wrapper} -DARGUMENT")
    libraries.append(make(source, folder))
    monkeypatch.setenv("CXX", str(wrapper))
    monkeypatch.setattr(compiler, "_version", lambda command: "another")
    libraries.append(make(source, folder))
    monkeypatch.setattr(building, "processor", lambda: {"flags": "another"})
    libraries.append(make(source, folder))
    (source.parent / "number.hpp").write_text("#define NUMBER 2\n")
    libraries.append(make(source, folder))
    source.write_text(source.read_text() + "\n")
    libraries.append(make(source, folder))
    assert answer(libraries[-1]) == 223
    assert len(set(libraries)) == len(libraries) == compilations(wrapper)


@pytest.mark.parametrize("damage", ["flip", "truncate", "cut trailer", "empty"])
def test_damaged_library_is_built_again(source, tmp_path, wrapper, caplog, damage):
    library = make(source, tmp_path / "cache")
    data = library.read_bytes()
    middle = len(data) // 2
    library.write_bytes(
        {
            "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "truncate": data[:middle],
            "cut trailer": data[:-40],
            "empty": b"",
        }[damage]
    )
    assert make(source, tmp_path / "cache") == library
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is damaged" in caplog.text
    assert compilations(wrapper) == 2
    assert cache.is_whole(library)
    assert answer(library) == 123


def test_processes_at_once_compile_once(source, tmp_path, monkeypatch):
    wrapper = write_wrapper(tmp_path / "wrapper", "sleep 1")  # so that all have to wait
    monkeypatch.setenv("CXX", str(wrapper))
    processes = [start(source, tmp_path / "cache") for _ in range(32)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert {error for _, error in outputs} == {""}
    assert {output.split()[0] for output, _ in outputs} == {"123"}
    assert len({output for output, _ in outputs}) == 1
    assert compilations(wrapper) == 1


def test_processes_that_waited_share_a_failure(source, tmp_path, monkeypatch):
    source.write_text(BROKEN)
    wrapper = write_wrapper(tmp_path / "slow", "sleep 1")
    monkeypatch.setenv("CXX", str(wrapper))
    processes = [start(source, tmp_path / "cache") for _ in range(4)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert all("BuildError: slow failed: " in error for error in errors)
    assert len({error.splitlines()[-1] for error in errors}) == 1
    assert compilations(wrapper) < 4  # a process that was late to start tries for itself


def test_killed_builder_leaves_nothing_broken(source, tmp_path, monkeypatch):
    folder, slow, pid = tmp_path / "cache", tmp_path / "be_slow", tmp_path / "pid"
    slow.touch()
    wait = f"if [ -e {slow} ]; then echo half > $TMPDIR/half; echo $$ > {pid}; exec sleep 100; fi"
    monkeypatch.setenv("CXX", str(write_wrapper(tmp_path / "wrapper", wait)))
    victim = start(source, folder)
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    slow.unlink()
    try:
        assert not list(folder.glob("*.so"))
        assert len(list(folder.glob("*.tmp"))) == 1
        monkeypatch.setattr(cache, "LOCK_SECONDS", 20)
        begun = time.monotonic()
        assert answer(make(source, folder)) == 123
        assert time.monotonic() - begun < 15
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    # What the killed one left is swept away an hour later.
    (left,) = folder.glob("*.tmp")
    os.utime(left, (1, 1))
    make(source, folder, factor=5)
    assert not left.exists()


def test_build_all(source, tmp_path, wrapper):
    def job(factor):
        return Job(source, {"shape.h": "#define SHAPE 2"}, {"FACTOR": factor}, GENERIC, tmp_path)

    libraries = build_all([job(factor) for factor in (1, 2, 3, 1)])
    assert [answer(library) for library in libraries] == [121, 122, 123, 121]
    assert compilations(wrapper) == 3
    assert build_all([]) == []
    with pytest.raises(BuildError, match=r"'nonsense'"):
        build_all([job("nonsense"), job("rubbish"), job(5)])
    assert compilations(wrapper) == 6


def test_sanitized_library_is_another(source, tmp_path):
    plain = make(source, tmp_path / "cache")
    sanitized = make(source, tmp_path / "cache", sanitize="undefined")
    assert plain != sanitized
    assert b"ubsan" in sanitized.read_bytes()
    assert answer(sanitized) == 123


def test_building_logs_where_and_how_long(source, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        library = make(source, tmp_path / "cache")
    assert f": {library}" in caplog.text
