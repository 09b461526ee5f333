"""Seconds of one call of each kernel, in each of its variants."""

from __future__ import annotations

import pytest
import torch

from kernels.declarations.kernel import Case
from kernels.declarations.registry import KERNELS
from kernels.samples import checked, inputs, reference, too_large

CASE = Case(64, 28)
PAIRS = [(name, variant) for name, kernel in KERNELS.items() for variant in kernel.variants]


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_kernel(benchmark, name, variant):
    kernel = KERNELS[name]
    if reason := too_large(kernel, variant, CASE):
        pytest.skip(reason)
    torch.set_num_threads(1)
    given = inputs(kernel, CASE)
    made = checked(kernel, variant, given, CASE, reference(kernel, given))
    if made.status == "skipped":  # no compiler for the engine
        pytest.skip(made.message)
    assert made.status == "ok", made.message
    benchmark.group = f"{name}, batch {CASE.batch_size}"
    benchmark.extra_info["flops"] = made.prepared.flops
    benchmark.pedantic(made.prepared.run, rounds=7, warmup_rounds=1)
