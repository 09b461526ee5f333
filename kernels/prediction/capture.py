"""Running kernels under Callgrind to learn which instructions they execute, and how often.

It also counts which of them miss in the machine's first two caches, and mispredicted branches.

What was learnt is kept by a hash of all that it depends on: a second run reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from kernels.prediction.code import Code, Piece, counts, pieces, without
from kernels.traffic.cachesim import callgrind
from kernels.traffic.cachesim.child import NOTHING
from kernels.traffic.cachesim.passes import Pass
from kernels.traffic.cachesim.simulate import Wanted, code_hash, start, start_counting, write
from sparring.errors import SparringError

_TRIGGER = re.compile(r"^desc: Trigger: Client Request: (.*)$", re.MULTILINE)


def capture(
    wanted: Sequence[Wanted],
    march: str,
    caches: Pass,
    folder: Path,
    tell: Callable[[str], None],
) -> dict[Wanted, list[Piece]]:
    """The pieces of code of one call of each kernel, on one thread, with AVX2.

    Args:
        wanted: what to run.
        march: the processor that the engine is compiled for, as the compiler names it; this
            machine's if empty. Libraries take their paths for AVX2.
        caches: the first two.
        folder: of what is kept.
        tell: takes a line about the progress.

    Raises:
        NoValgrindError: if nothing can be simulated here.
        SparringError: if running fails.
    """
    version, here = callgrind.version(), Path(__file__).parent
    tools = hashlib.sha256(
        b"".join((here / name).read_bytes() for name in ("child.py", "capture.py", "code.py"))
    ).hexdigest()[:16]
    paths = {}
    for item in wanted:
        own = march if item.variant == "fused" else ""
        text = json.dumps([
            version, tools, code_hash(item.variant), own, item.words, str(caches.first),
            str(caches.last),
        ])  # fmt: skip
        paths[item] = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.code.json"
    missing = [item for item in wanted if not paths[item].exists()]
    if missing:
        tell(f"running {len(missing)} kernels under Callgrind, every instruction counted")
        folder.mkdir(parents=True, exist_ok=True)
        for item, found in zip(missing, _run(missing, march, caches), strict=True):
            write(paths[item], {"item": item.words, "pieces": [asdict(piece) for piece in found]})
    return {
        item: [
            Piece(**{**piece, "lines": tuple(piece["lines"])})
            for piece in json.loads(path.read_text())["pieces"]
        ]
        for item, path in paths.items()
    }


def _run(items: Sequence[Wanted], march: str, caches: Pass) -> list[list[Piece]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = folder / "task.json"
        task.write_text(json.dumps({
            "control": str(callgrind.control_library()), "march": march,
            "items": [item.words for item in items],
        }))  # fmt: skip
        program = [sys.executable, "-m", "kernels.prediction.child", str(task), str(folder)]
        start([*program, "prepare"])  # compiles the engine's kernels outside Valgrind
        start_counting([
            *callgrind.command(caches, folder / "out"), "--branch-sim=yes", "--collect-jumps=yes",
            "--dump-instr=yes", "--dump-line=no", "--compress-pos=no", "--compress-strings=no",
            *program,
        ])  # fmt: skip
        dumps = {}
        for path in folder.glob("out*"):
            if trigger := _TRIGGER.search(path.read_text(errors="replace")[:4096]):
                dumps[trigger[1]] = path
        if NOTHING not in dumps or len(dumps) != len(items) + 1:
            raise SparringError(f"Callgrind left {len(dumps)} dumps; {len(items) + 1} expected")
        code, nothing = Code(folder), counts(dumps[NOTHING])
        return [
            pieces(without(counts(dumps[str(number)]), nothing), code)
            for number in range(len(items))
        ]
