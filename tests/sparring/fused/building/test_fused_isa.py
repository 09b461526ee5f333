"""Instruction sets, and what libraries do to the arithmetic of a process."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from sparring.fused import machine
from sparring.fused.building import compiler
from sparring.fused.building.build import BuildError, Isa, Job, build, machine_isa
from tests.sparring.fused.building.answers import CXX, X86

pytestmark = pytest.mark.skipif(CXX is None, reason="no C++ compiler")


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
