"""Surroundings in which nothing was built yet."""

from __future__ import annotations

import tempfile

import pytest

from sparring.fused.building import build as building
from sparring.fused.building import cache, compiler
from tests.sparring.fused.building.answers import ANSWER, write_wrapper


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No settings of the user's, nothing remembered, temporary files of this test's own."""
    for name in ("CXX", "SPARRING_CXXFLAGS", "SPARRING_ISA", "SPARRING_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache, "_told", set())
    monkeypatch.setattr(building, "_failures", {})
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    compiler._version.cache_clear()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "cpp"
    folder.mkdir()
    (folder / "number.hpp").write_text("#define NUMBER 1\n")
    main = folder / "answer.cpp"
    main.write_text(ANSWER)
    return main


@pytest.fixture
def wrapper(tmp_path, monkeypatch):
    path = write_wrapper(tmp_path / "wrapper")
    monkeypatch.setenv("CXX", str(path))
    return path
