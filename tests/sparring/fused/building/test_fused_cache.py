"""Where libraries are kept, and where that is impossible."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from sparring.backends import engine_of
from sparring.fused.building import cache
from sparring.fused.building.build import BuildError
from tests.sparring.fused.building.answers import CXX, answer, compilations, make

pytestmark = pytest.mark.skipif(CXX is None, reason="no C++ compiler")


def test_folder_is_the_argument_else_the_variable_else_the_users(source, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache.cache_folder(None) == tmp_path / "xdg" / "sparring" / "kernels"
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "variable"))
    assert make(source, None).parent == tmp_path / "variable"
    assert make(source, tmp_path / "argument").parent == tmp_path / "argument"
    monkeypatch.chdir(tmp_path)
    assert make(source, Path("relative")).parent == tmp_path / "relative"


def test_unwritable_cache_gives_way_to_a_private_folder(source, tmp_path, caplog, wrapper):
    (tmp_path / "file").touch()
    library = make(source, tmp_path / "file" / "cache")
    assert answer(library) == 123
    assert library.parent.parent == tmp_path / "temporary"
    assert stat.S_IMODE(library.parent.stat().st_mode) == 0o700
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be written" in caplog.text
    assert make(source, tmp_path / "file" / "cache") == library
    assert compilations(wrapper) == 1


@pytest.mark.parametrize("variable", ["~nosuchuser/x", None])
def test_without_a_home_kernels_are_kept_in_a_private_folder(
    source, tmp_path, monkeypatch, caplog, wrapper, variable
):
    """A container's user often has neither HOME nor an entry among the system's users."""
    if variable is None:
        for name in ("HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    else:
        monkeypatch.setenv("SPARRING_CACHE", variable)
    library = make(source, None)
    assert library.parent == tmp_path / "temporary" / f"sparring-kernels-{os.geteuid()}"
    assert answer(library) == 123
    assert make(source, None) == library
    assert compilations(wrapper) == 1
    (record,) = caplog.records
    assert "ould not determine" in record.getMessage()


def test_without_any_folder_auto_is_pytorch(monkeypatch, caplog):
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)
    monkeypatch.setenv("SPARRING_CACHE", "~nosuchuser/x")
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    assert engine_of("auto", model, (1, 4, 4)) is None
    assert "kernels can be kept neither in ~nosuchuser/x" in caplog.text


@pytest.mark.parametrize("trap", ["open", "link", "file"])
def test_private_folder_must_be_ours_alone(source, tmp_path, trap):
    (tmp_path / "file").touch()
    private = tmp_path / "temporary" / f"sparring-kernels-{os.geteuid()}"
    if trap == "open":
        private.mkdir()
        private.chmod(0o777)
    elif trap == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        private.symlink_to(tmp_path / "elsewhere")
    else:
        private.touch(mode=0o600)
    with pytest.raises(BuildError, match=f"is open to other users.*: set {cache.CACHE_VARIABLE}$"):
        make(source, tmp_path / "file" / "cache")
    assert not (tmp_path / "elsewhere").exists() or not list((tmp_path / "elsewhere").iterdir())


def test_library_in_a_read_only_cache_is_used(source, tmp_path, monkeypatch):
    library = make(source, tmp_path / "cache")

    def refuse(folder):
        raise PermissionError(errno.EACCES, "read-only")

    monkeypatch.setattr(cache, "_try_out", refuse)
    assert make(source, tmp_path / "cache") == library
    with pytest.raises(BuildError, match=r"kernels can be kept neither in .*read-only"):
        make(source, tmp_path / "cache", factor=4)


def test_file_system_without_locks(source, tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    library = make(source, tmp_path / "cache")
    assert answer(library) == 123
    assert list(library.parent.iterdir()) == [library]


def test_lock_that_is_held_for_too_long(source, tmp_path, monkeypatch, caplog):
    library = make(source, tmp_path / "cache")
    library.unlink()
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.2)
    with library.with_suffix(".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert answer(make(source, tmp_path / "cache")) == 123
    assert "is still held after 0.2 s: going on without it" in caplog.text
