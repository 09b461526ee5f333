"""Compilers that are missing, fail, hang or know no OpenMP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sparring.fused.building import build as building
from sparring.fused.building import compiler
from sparring.fused.building.build import BuildError
from tests.sparring.fused.building.answers import (
    BROKEN,
    CHILD,
    CXX,
    ROOT,
    answer,
    compilations,
    make,
    write_wrapper,
)

pytestmark = pytest.mark.skipif(CXX is None, reason="no C++ compiler")


def test_no_compiler_is_told(source, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    expected = r"^no C\+\+ compiler was found; expected one of g\+\+, c\+\+, clang\+\+ on PATH, or"
    with pytest.raises(BuildError, match=expected):
        make(source, tmp_path / "cache")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("no-such-c++ -O1", "^CXX=no-such-c[+][+] -O1: there is no program no-such-c[+][+]$"),
        ("g++ 'x", "^CXX=g[+][+] 'x cannot be split into words: "),
        ("false", "false --version failed: "),
        (f"{CXX} -Ofast", "^-Ofast is refused: "),
    ],
)
def test_bad_cxx_is_named(source, tmp_path, monkeypatch, chosen, message):
    monkeypatch.setenv("CXX", chosen)
    with pytest.raises(BuildError, match=message):
        make(source, tmp_path / "cache")


def test_failed_build_keeps_the_log_and_is_not_tried_again(source, tmp_path, wrapper):
    text = source.read_text()
    source.write_text(BROKEN)
    with pytest.raises(BuildError) as caught:
        make(source, tmp_path / "cache")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"wrapper failed: {source}:1:")
    assert "error:" in message
    log = Path(message.split("; the whole log is in ")[1])
    assert log.parent == tmp_path / "cache"
    assert "answer.cpp" in log.read_text()
    with pytest.raises(BuildError) as again:
        make(source, tmp_path / "cache")
    assert str(again.value) == message
    assert compilations(wrapper) == 1  # and OpenMP was not to blame
    source.write_text(text)
    assert answer(make(source, tmp_path / "cache")) == 123
    source.write_text(BROKEN)
    building._failures.clear()  # as in another process
    with pytest.raises(BuildError):
        make(source, tmp_path / "cache")
    assert compilations(wrapper) == 3


def test_log_of_a_failure_goes_when_the_build_succeeds(source, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.touch()
    before = f"if [ -e {broken} ]; then echo 'error: no luck'; exit 7; fi"
    monkeypatch.setenv("CXX", str(write_wrapper(tmp_path / "wrapper", before)))
    with pytest.raises(BuildError, match=r"^wrapper failed: error: no luck; "):
        make(source, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.log"))
    broken.unlink()
    building._failures.clear()
    make(source, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.log"))


def ends(pid):
    """Whether a process is gone, or soon is: a signal takes a moment on a busy machine."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_hanging_compiler_is_killed_with_its_children(source, tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    before = f"sleep 100 & echo $! > {pid}\nwait"
    monkeypatch.setenv("CXX", str(write_wrapper(tmp_path / "wrapper", before)))
    monkeypatch.setattr(compiler, "COMPILE_SECONDS", 0.5)
    monkeypatch.setattr(compiler, "_PROBE_SECONDS", 0.5)
    with pytest.raises(
        BuildError, match=r"^wrapper was still running after 0\.5 s and was killed; "
    ):
        make(source, tmp_path / "cache")
    assert ends(int(pid.read_text()))


def test_killed_compiler_is_told(source, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(write_wrapper(tmp_path / "wrapper", "kill -9 $$")))
    with pytest.raises(BuildError, match=r"^wrapper was killed by signal 9; "):
        make(source, tmp_path / "cache")


def test_compiler_is_spared_our_surroundings(source, tmp_path, monkeypatch):
    before = f'cat > /dev/null; echo "$LC_ALL $LD_PRELOAD $TMPDIR" > {tmp_path / "seen"}'
    monkeypatch.setenv("CXX", str(write_wrapper(tmp_path / "wrapper", before)))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    # A standard input that never ends, as under mpiexec.
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(source), str(tmp_path / "cache")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "LD_PRELOAD": ""},
    )
    assert process.wait(60) == 0
    process.communicate()
    locale, temporary = (tmp_path / "seen").read_text().split()
    assert locale == "C"
    assert Path(temporary).parent == tmp_path / "cache"


def test_compiler_without_openmp(source, tmp_path, monkeypatch, caplog):
    text = "#ifdef _OPENMP\n#define THREADS 1\n#else\n#define THREADS 0\n#endif\n"
    source.write_text(text + 'extern "C" int answer() { return THREADS; }\n')
    assert answer(make(source, tmp_path / "cache")) == 1
    before = 'case "$*" in *-fopenmp*) echo "error: unsupported option -fopenmp"; exit 1;; esac'
    monkeypatch.setenv("CXX", str(write_wrapper(tmp_path / "wrapper", before)))
    assert answer(make(source, tmp_path / "cache")) == 0
    assert "wrapper has no OpenMP: answer.cpp is built for one thread" in caplog.text
