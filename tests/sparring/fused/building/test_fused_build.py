from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import torch

from sparring.backends import engine_of
from sparring.fused import machine
from sparring.fused.building import build as building
from sparring.fused.building import cache, compiler
from sparring.fused.building.build import BuildError, Isa, Job, build, build_all, machine_isa

ROOT = Path(__file__).parents[4]
GENERIC = Isa("generic", 4, ())
CXX = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
X86 = platform.machine() in ("x86_64", "AMD64")

pytestmark = pytest.mark.skipif(CXX is None, reason="no C++ compiler")

ANSWER = """
#include "number.hpp"
#include "shape.h"
extern "C" int answer() { return NUMBER * 100 + SHAPE * 10 + FACTOR; }
"""
BROKEN = "int answer( { return 1; }\n"


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


def make(main, folder, *, shape=2, factor=3, **more):
    """Build the source above: it answers 123 by default."""
    headers = {"shape.h": f"#define SHAPE {shape}\n"}
    return build(main, headers, {"FACTOR": factor}, GENERIC, cache=folder, **more)


def answer(library):
    return ctypes.CDLL(str(library)).answer()


def write_wrapper(path, before=""):
    """A compiler that notes every compilation of a kernel, then does what it is told."""
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--version*) exec {CXX} "$@";; esac\n'
        'case "$*" in *openmp.cpp*) ;; '
        f"*) echo compiled >> {shlex.quote(str(path))}.count;; esac\n"
        f'{before}\nexec {CXX} "$@"\n'
    )
    path.chmod(0o755)
    return path


def compilations(wrapper):
    count = wrapper.with_name(wrapper.name + ".count")
    return len(count.read_text().splitlines()) if count.exists() else 0


@pytest.fixture
def wrapper(tmp_path, monkeypatch):
    path = write_wrapper(tmp_path / "wrapper")
    monkeypatch.setenv("CXX", str(path))
    return path


CHILD = """
import ctypes, sys
from pathlib import Path
from sparring.fused.building.build import Isa, build
library = build(Path(sys.argv[1]), {"shape.h": "#define SHAPE 2"}, {"FACTOR": 3},
                Isa("generic", 4, ()), cache=Path(sys.argv[2]))
print(ctypes.CDLL(str(library)).answer(), library)
"""


def start(source, folder, code=CHILD):
    command = [sys.executable, "-c", code, str(source), str(folder)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


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


def test_folder_is_the_argument_else_the_variable_else_the_users(source, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache.cache_folder(None) == tmp_path / "xdg" / "sparring" / "kernels"
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "variable"))
    assert make(source, None).parent == tmp_path / "variable"
    assert make(source, tmp_path / "argument").parent == tmp_path / "argument"
    monkeypatch.chdir(tmp_path)
    assert make(source, Path("relative")).parent == tmp_path / "relative"


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
    assert not psutil.pid_exists(int(pid.read_text())) or (
        psutil.Process(int(pid.read_text())).status() == psutil.STATUS_ZOMBIE
    )


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


@pytest.fixture
def flags(monkeypatch):
    """Pretends to be an x86 processor with the given flags."""

    def pretend(text):
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(machine, "processor", lambda: {"flags": text})

    return pretend


AVX2_FLAGS = "sse2 avx2 fma"
AVX512_FLAGS = f"{AVX2_FLAGS} avx512f avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("text", "name", "lanes"),
    [
        (AVX512_FLAGS, "avx512", 16),
        (AVX2_FLAGS, "avx2", 8),
        (f"{AVX2_FLAGS} avx512f", "avx2", 8),
        ("sse2 avx2", "generic", 4),
        ("", "generic", 4),
    ],
)
def test_isa_is_the_processors_widest(flags, text, name, lanes):
    flags(text)
    isa = machine_isa()
    assert (isa.name, isa.lanes) == (name, lanes)


def test_isa_by_variable(flags, monkeypatch):
    flags(AVX512_FLAGS)
    monkeypatch.setenv("SPARRING_ISA", "avx2")
    assert machine_isa().name == "avx2"
    monkeypatch.setenv("SPARRING_ISA", "generic")
    assert machine_isa() == Isa("generic", 4, ("-march=x86-64",))
    monkeypatch.setenv("SPARRING_ISA", "")
    assert machine_isa().name == "avx512"
    monkeypatch.setenv("SPARRING_ISA", "sse9")
    with pytest.raises(BuildError, match=r"^SPARRING_ISA=sse9: expected one of avx512, avx2, "):
        machine_isa()
    flags(AVX2_FLAGS)
    monkeypatch.setenv("SPARRING_ISA", "avx512")
    expected = "^SPARRING_ISA=avx512: this processor lacks it, it offers avx2, generic$"
    with pytest.raises(BuildError, match=expected):
        machine_isa()


def test_isa_elsewhere_than_on_x86(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert machine_isa() == Isa("generic", 4, ())


LOOP = "void axpy(float* a, float* b, int n) { for (int i = 0; i < n; ++i) a[i] += 3 * b[i]; }"


@pytest.mark.skipif(not X86, reason="x86 only")
@pytest.mark.parametrize("name", ["avx512", "avx2", "generic"])
def test_isa_flags_do_what_they_say(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SPARRING_ISA", name)
    try:
        isa = machine_isa()
    except BuildError as error:
        pytest.skip(str(error))
    macros = subprocess.run(
        [CXX, *isa.flags, "-dM", "-E", "-x", "c++", os.devnull],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ("__AVX512F__" in macros) == (name == "avx512")
    assert ("__AVX2__" in macros) == ("__FMA__" in macros) == (name != "generic")
    assert "__AVX512" not in macros or name == "avx512"
    assert "__AVX10" not in macros or name == "avx512"
    source = tmp_path / "loop.cpp"
    source.write_text(LOOP)
    assembly = subprocess.run(
        [CXX, "-O3", *isa.flags, "-S", "-o", "-", str(source)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if name != "avx512":
        wide = ["%zmm", "%k1", *(f"%ymm{number}" for number in range(16, 32))]
        assert not [register for register in wide if register in assembly]


STATE = """
#if defined(__x86_64__)
#include <xmmintrin.h>
extern "C" unsigned state() { return _mm_getcsr(); }
#else
extern "C" unsigned state() { return 0; }
#endif
"""
FLOATING_POINT = """
import ctypes, sys
import numpy as np

def denormals():
    return bool(np.float32(1e-40) * np.float32(1) != 0)

state = ctypes.CDLL(sys.argv[1]).state  # built with nothing but -O1
before = state() & ~0x3f, denormals()   # without the flags of exceptions that occurred
library = ctypes.CDLL(sys.argv[2])
after = state() & ~0x3f, denormals()
assert before == after == (library.state() & ~0x3f, True), (before, after)
"""


def test_loading_a_library_leaves_the_floating_point_state(tmp_path):
    source, plain = tmp_path / "state.cpp", tmp_path / "plain.so"
    source.write_text(STATE)
    subprocess.run([CXX, "-O1", "-shared", "-fPIC", str(source), "-o", str(plain)], check=True)
    library = build(source, {}, {}, machine_isa(), cache=tmp_path / "cache")
    command = [sys.executable, "-c", FLOATING_POINT, str(plain), str(library)]
    subprocess.run(command, check=True, timeout=60)


def test_kernel_computes_with_denormals_and_threads(tmp_path):
    source = tmp_path / "sum.cpp"
    source.write_text(
        "#include <omp.h>\n"
        'extern "C" float halve(float x) { return 0.5f * x; }\n'
        'extern "C" int sum(int n) { int s = 0;\n'
        "#pragma omp parallel for reduction(+ : s) num_threads(2)\n"
        "for (int i = 0; i < n; ++i) s += i;\nreturn s; }\n"
    )
    library = ctypes.CDLL(str(build(source, {}, {}, machine_isa(), cache=tmp_path / "cache")))
    library.halve.restype = ctypes.c_float
    library.halve.argtypes = [ctypes.c_float]
    assert 0 < library.halve(1e-40) < 1e-40
    assert library.sum(100) == 4950


def test_no_flag_is_fast_math(source):
    for sanitize in ("", "address"):
        flags = Job(source, {}, {}, machine_isa(), sanitize=sanitize).all_flags
        assert not compiler._REFUSED & set(flags)
        assert "-fopenmp" in flags


def test_building_logs_where_and_how_long(source, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        library = make(source, tmp_path / "cache")
    assert f": {library}" in caplog.text
