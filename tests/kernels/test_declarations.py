"""Kernels: what they count against counts by hand, what they compute against float64."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from kernels.counts.sparsity import Alive
from kernels.counts.tile import weights as tile_weight_work
from kernels.counts.weight_work import gradients, step
from kernels.counts.wide import weights as batch_weight_work
from kernels.counts.work import Shape
from kernels.declarations import toeplitz, whole
from kernels.declarations.kernel import Case, error
from kernels.declarations.registry import KERNELS, chosen
from kernels.declarations.study import module, network, parameters
from kernels.samples import BOUND, checked, inputs, reference, too_large
from sparring.errors import SparringError
from sparring.fused import machine
from sparring.networks import StudyCNN

CASE = Case(16, 28)
SMALL = Case(3, 12)
#: By hand, for 16 images of 28 x 28: nominal operations, and numbers of 4 bytes.
COUNTS = {
    "conv1_forward": (16 * 288_000, 16 * (784 + 5760) + 250 + 10),
    "conv1_backward_input": (16 * 288_000, 16 * (784 + 5760) + 250),
    "conv1_backward_weights": (16 * 288_000, 16 * (784 + 5760) + 250 + 10),
    "conv2_forward": (16 * 4_000_000, 16 * (5760 + 8000) + 5000 + 20),
    "conv2_backward_input": (16 * 4_000_000, 16 * (5760 + 8000) + 5000),
    "conv2_backward_weights": (16 * 4_000_000, 16 * (5760 + 8000) + 5000 + 20),
    "linear1_forward": (16 * 800_000, 16 * 8050 + 400_000 + 50),
    "linear1_backward_input": (16 * 800_000, 16 * 8050 + 400_000),
    "linear1_backward_weights": (16 * 800_000, 16 * 8050 + 400_000 + 50),
    "linear2_forward": (16 * 1000, 16 * 60 + 500 + 10),
    "linear2_backward_input": (16 * 1000, 16 * 60 + 500),
    "linear2_backward_weights": (16 * 1000, 16 * 60 + 500 + 10),
    "relu_forward": (0, 2 * 16 * 8000),
    "relu_backward": (0, 3 * 16 * 8000),
    "network_forward": (16 * 5_089_000, 16 * 794 + 405_840),
    "network_backward": (
        16 * (2 * 5_089_000 - 288_000),
        16 * (784 + 5760 + 8000 + 50 + 10) + 5000 + 400_000 + 500 + 405_840,
    ),
    "input_gradient": (16 * (2 * 5_089_000 + 54), 2 * 16 * 784 + 405_840),
    "attack_step": (16 * (2 * 5_089_000 + 54 + 4 * 784), 3 * 16 * 784 + 405_840),
    "update": (16 * (3 * 5_089_000 - 288_000 + 54) + 2 * 405_840, 16 * 784 + 2 * 405_840),
}


@pytest.fixture(autouse=True)
def narrowest(monkeypatch):
    """The instruction set with the fewest kernels to compile."""
    monkeypatch.setenv(machine.ISA_VARIABLE, "generic")


def test_every_kernel_is_counted_by_hand():
    assert set(COUNTS) == set(KERNELS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    flops, numbers = COUNTS[name]
    assert KERNELS[name].flops(CASE) == flops
    assert KERNELS[name].bytes(CASE) == 4 * numbers


def test_network_is_the_study_s():
    ours = [tuple(p.shape) for p in module(28).parameters()]
    assert ours == [tuple(p.shape) for p in StudyCNN().parameters()]
    assert parameters(28) == sum(p.numel() for p in StudyCNN().parameters()) == 405_840
    with pytest.raises(SparringError, match="more than 8 pixels"):
        network(8)


@pytest.mark.parametrize("name", KERNELS)
def test_every_variant_computes_what_float64_does(name):
    kernel = KERNELS[name]
    given = inputs(kernel, SMALL)
    before = {key: tensor.clone() for key, tensor in given.items()}
    exact = reference(kernel, given)
    for variant in kernel.variants:
        made = checked(kernel, variant, given, SMALL, exact)
        assert made.status == "ok", (variant, made.message)
        assert made.error < BOUND / 10
        again = made.prepared.result(made.prepared.run())
        assert error(list(again), exact) == pytest.approx(made.error, rel=1e-3, abs=1e-9)
        if variant.startswith("torch"):
            assert made.prepared.flops == kernel.flops(SMALL)
    assert all(torch.equal(before[key], given[key]) for key in given)


def test_reference_agrees_with_modules():
    kernel = KERNELS["attack_step"]
    given = {k: x.double() if k != "labels" else x for k, x in inputs(kernel, SMALL).items()}
    model = module(SMALL.input_size).double()
    with torch.no_grad():
        for own, name in zip(model.parameters(), whole.PARAMETERS, strict=True):
            own.copy_(given[name])
    x = given["x"].requires_grad_()
    torch.nn.functional.cross_entropy(model(x), given["labels"]).backward()
    moved = x.detach() + 0.02 * x.grad.sign()
    moved = moved.clamp(given["centre"] - 0.3, given["centre"] + 0.3).clamp(0, 1)
    assert error(kernel.reference(given), [moved]) < 1e-12


def test_a_toeplitz_matrix_by_hand():
    conv = network(28).convolutions[0]
    w = torch.arange(250.0).reshape(10, 1, 5, 5)
    found = toeplitz.matrix(w, conv)
    assert found.shape == (5760, 784)
    assert found.nnz == 5760 * 25 == toeplitz.matrix_entries(conv, dense=False)
    # Channel 1, output pixel (2, 3): weight (4, 0) lies on pixel (6, 3).
    assert found[576 + 2 * 24 + 3, 6 * 28 + 3] == w[1, 0, 4, 0]


def test_zeros_of_a_dense_toeplitz_matrix_lie_in_memory_of_their_own():
    found = sparse.csr_array((20_000, 1000), dtype=np.float32)

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()

    before = resident()
    made = toeplitz.dense_matrix(found)
    assert made.count_nonzero() == 0  # reads every page
    assert resident() - before > 0.9 * made.nbytes


def test_executed_operations_of_toeplitz_and_folding():
    given = inputs(KERNELS["conv1_forward"], SMALL)
    made = KERNELS["conv1_forward"].variants["toeplitz_dense"].prepare(given, SMALL)
    assert made.flops == 2 * 3 * (10 * 8 * 8) * (12 * 12)
    given = inputs(KERNELS["conv1_backward_input"], SMALL)
    made = KERNELS["conv1_backward_input"].variants["im2col"].prepare(given, SMALL)
    assert made.flops == 3 * (2 * 64 * 250 + 64 * 25)


def test_wrong_results_have_an_error():
    one = torch.ones(2, 2)
    assert error([one], [one.double()]) == 0
    assert error([one * float("nan")], [one.double()]) == float("inf")
    assert error([torch.ones(4)], [one.double()]) == float("inf")
    assert error([one * 1.5], [one.double()]) == pytest.approx(0.5)


def test_too_large_cases_are_told():
    assert not too_large(KERNELS["conv2_forward"], "toeplitz_dense", Case(16, 28))
    assert "GiB, more than" in too_large(KERNELS["conv2_forward"], "toeplitz_dense", Case(16, 56))


def test_names_of_kernels():
    assert [kernel.name for kernel in chosen(["conv2"])] == [
        "conv2_forward", "conv2_backward_input", "conv2_backward_weights",
    ]  # fmt: skip
    assert len(chosen([])) == len(KERNELS)
    with pytest.raises(SparringError, match="kernel 'conv3' is not known; expected conv1_forward"):
        chosen(["conv3"])


def test_operations_of_weights_gradients():
    wide, tile = Shape("wide", 16, 16), Shape("tile", 8, 1)
    first, second = network(28).convolutions
    again = (24 + 40) * 5 * 10 * 38  # the inputs' transforms
    assert batch_weight_work.convolution(first, wide) == 16 * (2 * 24 * 24 * 25 * 10 + 5760)
    assert batch_weight_work.convolution(second, wide) == 16 * (2 * 25 * 64 * 200 + 8000 + again)
    assert batch_weight_work.dense(network(28).dense[0], wide) == 16 * (2 * 400_000 + 50)
    # All rows in one run of 23 * 28 + 24 pixels: 84 vectors.
    assert tile_weight_work.convolution(first, tile) == 8 * (250 * (2 * 84 + 1) + 10 * 84)
    assert tile_weight_work.dense(network(28).dense[0], tile) == 2 * 8000 * 52 + 50
    assert step(network(28), wide, 17) == 2 * 16 * 6 * 784
    assert step(network(28), tile, 17) == 17 * 6 * 784


def test_operations_of_an_update():
    everything = [Alive(50, 8000, 8000), Alive(10, 50, 50)]
    found = gradients(network(28), Shape("wide", 16, 16), 16, everything)
    winograd = 25 * 64 * 200 * 2
    forward = (24 + 40) * 5 * 10 * 38 + (40 + 20) * 5 * 20 * 22 + 8000
    backward = (20 + 40) * 5 * 20 * 18 + (40 + 24) * 5 * 10 * (39 + 4)
    again = (24 + 40) * 5 * 10 * 38
    weights = (288_000 + 5760) + (winograd + 8000 + again) + 800_050 + (2 * 50 * 16 + 10)
    layers = 288_000 + 2 * winograd + forward + backward + 2 * 800_000 + 2 * 1000
    assert found == 16 * (layers + 54 + weights)
