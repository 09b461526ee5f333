"""The system's headers that the engine includes, compiled once for all kernels of the tests.

To read them is a good part of compiling a test's kernel (g++'s -ftime-report). g++ takes the
compiled form of a header that is included first where the same flags made it, and reads the header
itself otherwise (GCC's manual, "Using Precompiled Headers"): the kernels are the same.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

from filelock import FileLock

from sparring.fused import machine
from sparring.fused.building.build import Job
from sparring.fused.building.compiler import Compiler, find_compiler
from sparring.fused.machine import BuildError

ENGINE = Path(machine.__file__).with_name("cpp")


def header() -> str:
    """What all sources of the engine include."""
    sources = [path.read_text("utf-8") for path in ENGINE.iterdir()]
    names = sorted({name for text in sources for name in re.findall(r"#include <(\S+)>", text)})
    return "".join(f"#if __has_include(<{name}>)\n#include <{name}>\n#endif\n" for name in names)


def flags_with_headers(folder: Path) -> str:
    """Flags that have g++ take the compiled headers, which are kept in the folder; else none.

    The variable with further flags must hold what the tests' kernels are compiled with besides.
    """
    try:
        compiler = find_compiler()
    except BuildError:
        return ""
    if "Free Software Foundation" not in compiler.version:
        return ""  # another compiler refuses such a header that is not its own
    text, isas = header(), machine._offered().values()
    made_with = [Job(ENGINE, {}, {}, isa).all_flags for isa in isas]
    made_from = repr((text, compiler, made_with, machine.processor()))
    chosen = folder / f"headers-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}" / "engine.h"
    chosen.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(chosen.with_suffix(".lock")):
        if not chosen.exists():
            for number, flags in enumerate(made_with):
                _compile(compiler, flags, text, chosen.parent / "engine.h.gch" / str(number))
            chosen.write_text(text, "utf-8")  # last: now they are whole
    return f"-include {shlex.quote(str(chosen))}"


def _compile(compiler: Compiler, flags: tuple[str, ...], text: str, result: Path) -> None:
    result.parent.mkdir(exist_ok=True)
    source = result.parent / "source.h"
    source.write_text(text, "utf-8")
    arguments = [*flags, "-x", "c++-header", str(source), "-o", str(result)]
    reason = compiler.run(arguments, result.parent.with_name("log"))
    source.unlink()
    assert reason is None, reason
