"""A library that answers a number, and compilers that note what they are asked."""

from __future__ import annotations

import ctypes
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from sparring.fused.building.build import Isa, build

ROOT = Path(__file__).parents[4]
GENERIC = Isa("generic", 4, ())
CXX = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
X86 = platform.machine() in ("x86_64", "AMD64")
ANSWER = """
#include "number.hpp"
#include "shape.h"
extern "C" int answer() { return NUMBER * 100 + SHAPE * 10 + FACTOR; }
"""
BROKEN = "int answer( { return 1; }\n"


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
