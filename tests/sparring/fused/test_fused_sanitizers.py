"""The fused engine's kernels in other processes: under sanitizers, and when they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sparring.fused import machine
from sparring.fused.building.build import Job, build, build_all
from sparring.fused.building.compiler import find_compiler
from sparring.fused.engine import SOURCE
from sparring.fused.header import header
from sparring.fused.layouts import layouts
from sparring.fused.recognise import recognise
from tests.sparring.fused.fused_networks import NETWORKS, network, shape_of
from tests.sparring.fused.fused_references import parameters_of

ROOT = Path(__file__).parents[3]
MIXED = "same-pool-odd"  # direct and Winograd convolutions, pooling, padding, dense layers
#: The sanitizers' checks as calls, and the first fault as the last: less code to be compiled.
SOON = ("-O0", "-g1", "-fno-sanitize-recover=undefined",
        "--param=asan-instrumentation-with-call-threshold=0")  # fmt: skip

SANITIZED = """
import ctypes, os, sys
import numpy as np
from pathlib import Path
from sparring.fused.library import Library, Settings, pointers

class Shim:  # as much of a tensor as Library asks for; of exactly as many bytes
    def __init__(self, array): self.array = np.array(array)
    def data_ptr(self): return self.array.ctypes.data
    def __len__(self): return len(self.array)
    @property
    def shape(self): return self.array.shape

random = np.random.default_rng(0)
shapes, image, classes = eval(sys.argv[1]), eval(sys.argv[2]), int(sys.argv[3])
assert "torch" not in sys.modules
for path in sys.argv[4:]:
    library = Library(Path(path))
    weights = [s and Shim(random.normal(size=s).astype(np.float32) / 5) for s in shapes]
    seen, packed, sums, total, factors = (
        Shim(np.zeros(library.packed_size, np.float32)) for _ in range(5)
    )
    assert library.repack(pointers(weights), seen, packed) == sum(map(bool, shapes))
    assert library.repack(pointers(weights), seen, packed) == 0
    library.pack(pointers(weights), sums)
    assert (sums.array == packed.array).all()
    library.use(packed)
    for n in (1, 2, 17, 33):
        for threads in (1, 2, 5):
            x = Shim(random.random((n, *image), np.float32))
            y = Shim(random.integers(0, classes, n))
            out, logits = Shim(np.empty_like(x.array)), Shim(np.empty((n, classes), np.float32))
            for rule in range(3):
                library.attack(x, x, y, out, Settings(rule, rule, .1, .3, 0, 1), 2, threads)
            library.input_gradient(x, y, out, 1, threads)
            library.logits(x, logits, threads)
            assert np.isfinite(logits.array).all()
            if "ATTACKS" in os.environ:  # batch normalisation, whose numbers nobody trains
                continue
            gradients = [s and Shim(np.zeros(s, np.float32)) for s in shapes]
            assert library.gradients(x, y, 1.0, sums, threads) > 0
            assert library.gradients(x, y, 1.0, sums, threads, add=True) > 0
            if n <= library.factor_room:
                library.gradients(x, y, 1.0, factors, threads, factors=0)
                ranks, half = pointers([factors, sums, factors]), library.packed_size // 32 * 16
                for part in (slice(0, half), slice(half, library.packed_size)):
                    library.add_ranks(ranks, [n, -1, n], part, total, threads)
                assert np.isfinite(total.array).all()
            library.unpack(sums, pointers(gradients))
            assert all(np.abs(g.array).max() > 0 for g in gradients if g)
    if os.environ.get("OVERRUN"):
        library.logits(x, Shim(np.empty((n, classes - 1), np.float32)), 1)
    del library
print("CLEAN")
"""


def run_sanitized(paths, name, **environment):
    compiler = find_compiler().command[0]
    preload = [
        subprocess.run(
            [compiler, f"-print-file-name={library}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for library in ("libasan.so", "libubsan.so")
    ]
    image, classes = shape_of(name), network(name)[-1].out_features
    parameters = parameters_of(network(name).eval(), image)
    shapes = [None if p is None else tuple(p.shape) for p in parameters]
    arguments = [str(shapes), str(image), str(classes), *map(str, paths)]
    return subprocess.run(
        [sys.executable, "-c", SANITIZED, *arguments],
        cwd=ROOT,
        env={
            **os.environ, "LD_PRELOAD": ":".join(preload), "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", **environment,
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_sanitizers_find_nothing():
    isa = next(iter(machine._offered().values()))
    jobs = {
        name: [
            Job(
                SOURCE, {"network.h": text}, dict(kind.defines), isa,
                sanitize="address,undefined", flags=SOON,
            )
            for kind in kinds
        ]
        for name, kinds in (
            (MIXED, layouts(isa)), ("dense", layouts(isa)[-1:]),
            ("every-kind", layouts(isa)[:1]), ("norms", layouts(isa)[:1]),
        )
        for text in [header(recognise(network(name), shape_of(name)).network, name != "norms")]
    }  # fmt: skip
    paths = build_all([job for group in jobs.values() for job in group])
    built = iter(paths)
    libraries = {name: [next(built) for _ in group] for name, group in jobs.items()}
    for name, some in libraries.items():
        result = run_sanitized(some, name, **({"ATTACKS": "1"} if name == "norms" else {}))
        assert result.returncode == 0, result.stderr[-3000:]
        assert result.stdout == "CLEAN\n"
        assert "runtime error" not in result.stderr
    # And they are at work: what writes beyond the end is found.
    result = run_sanitized(libraries["dense"], "dense", OVERRUN="1")
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr


FLOATING_POINT = """
import sys
from pathlib import Path
import numpy as np
from sparring.fused.library import Library

def denormals():
    return bool(np.float32(1e-40) * np.float32(1) != 0)

assert denormals()
libraries = [Library(Path(path)) for path in sys.argv[1:]]
assert denormals()
print("KEPT")
"""


def test_loading_a_kernel_leaves_denormals_alone():
    isa = next(iter(machine._offered().values()))
    text = header(recognise(network(MIXED), NETWORKS[MIXED][0]).network)
    paths = [build(SOURCE, {"network.h": text}, dict(kind.defines), isa) for kind in layouts(isa)]
    command = [sys.executable, "-c", FLOATING_POINT, *map(str, paths)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "KEPT\n"
