"""The fused engine's kernels against float64, on all instruction sets."""

from __future__ import annotations

import ctypes

import pytest
import torch

from sparring.fused import machine
from sparring.fused.engine import OBJECTIVE_NUMBERS, RULE_NUMBERS
from sparring.fused.layouts import images_together, layouts
from sparring.fused.library import Settings, pointers
from sparring.fused.recognise import recognise
from sparring.fused.winograd import uses_winograd, winograd_outputs, winograd_points
from tests.sparring.fused.fused_networks import ALL, NETWORKS, network, shape_of
from tests.sparring.fused.fused_references import errors, kernels, sample

COUNTS = (1, 2, 15, 16, 17, 33)  # filling no block of any layout, one, or several
GOAL = 2e-5  # 1.4e-5 is the worst of 12 seeds; most lie near 1e-6
ISAS = machine._offered()  # at least the generic one, on any processor
MIXED = "same-pool-odd"  # direct and Winograd convolutions, pooling, padding, dense layers


@pytest.fixture(scope="module")
def libraries():
    widest = next(iter(ISAS.values()))
    compiled = kernels(NETWORKS, [widest])
    return {(name, kind): library for (name, _, kind), library in compiled.items()}


def layout_names():
    return [kind.name for kind in layouts(next(iter(ISAS.values())))]


def test_the_networks_cover_both_algorithms_and_tiles_that_reach_over_the_edge():
    convolutions = [
        convolution
        for name, (shape, _) in NETWORKS.items()
        for convolution in recognise(network(name), shape).network.convolutions
    ]
    tiled = [c for c in convolutions if uses_winograd(c)]
    over = [c for c in tiled if c.conv_height % winograd_outputs(c)]
    assert {c.kernel for c in over} == {3, 4, 5}
    assert {c.kernel for c in convolutions if c not in tiled} == {1, 2, 3, 5, 7}
    assert {c.pool for c in tiled} == {c.relu for c in tiled} == {True, False}
    assert {c.padding for c in tiled} == {0, 1, 2, 4}
    over = [c for c in tiled if c.conv_width % winograd_outputs(c)]
    assert {(winograd_points(c), c.pool) for c in over} == {
        (5, False), (6, False), (6, True), (7, False), (8, False), (8, True),
    }  # fmt: skip


def test_behind_layers_of_every_kind_blocks_wait_for_each_other_and_do_not():
    kinds = {True: set(), False: set()}
    for name in ALL:
        found = recognise(network(name), shape_of(name)).network
        kinds[images_together(found, 32) > 1] |= {type(layer).__name__ for layer in found.front}
    kept = {"Convolution", "Pooling", "Activation", "Addition", "Affine"}
    assert kept <= kinds[True]
    assert kept <= kinds[False]


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_compute_what_float64_does(libraries, name, record_property):
    for seed in range(3):
        case = sample(name, seed, max(COUNTS))
        for kind in layout_names():
            for threads in (1, 3):
                worst = errors(libraries[name, kind], case, COUNTS, threads)
                record_property(f"{kind}-{seed}-{threads}", worst)
                assert max(worst.values()) < GOAL, (kind, seed, threads, worst)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", [MIXED, "outputs"])
def test_every_instruction_set_computes_the_same(isa, name):
    compiled = kernels([name], [ISAS[isa]])
    assert len(compiled) == len(layouts(ISAS[isa]))
    case = sample(name, 5, 18)
    for (_, _, kind), library in compiled.items():
        parameters = case.parameters
        packed = torch.full((library.packed_size,), float("nan"))
        library.pack(pointers(parameters), packed)
        assert packed.isfinite().all()
        found = [None if p is None else torch.full_like(p, float("nan")) for p in parameters]
        library.unpack(packed, pointers(found))
        for one, other in zip(found, parameters, strict=True):
            assert one is other is None or torch.equal(one, other)
        assert library.block >= {k.name: k.block for k in layouts(ISAS[isa])}[kind]
        worst = errors(library, case, (1, 18), 2)
        assert max(worst.values()) < GOAL, (kind, worst)


def attack(library, start, centre, labels, settings, steps, threads=2):
    out = torch.empty_like(start)
    library.attack(start, centre, labels, out, settings, steps, threads)
    return out


RULES = {
    "sign": lambda g: g.sign(),
    "l2": lambda g: g / g.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1),
    "raw": lambda g: g,
}


def confined(rule, x, centre, epsilon):
    if rule == "sign":
        return x.clamp(centre - epsilon, centre + epsilon).clamp(0.1, 0.9)
    if rule == "l2":
        length = (x - centre).flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
        x = torch.where(length > epsilon, centre + epsilon / length * (x - centre), x)
    return x.clamp(0.1, 0.9)


@pytest.mark.parametrize("kind", layout_names())
@pytest.mark.parametrize("objective", OBJECTIVE_NUMBERS)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_of_an_attack_is_the_formula(libraries, kind, objective, rule):
    case = sample(MIXED, 7, 17)
    library = libraries[MIXED, kind]
    library.load(case.parameters)
    centre = 0.1 + 0.8 * torch.rand(case.x.shape, generator=torch.Generator().manual_seed(1))
    size, epsilon = (0.07, 0.3) if rule == "sign" else (2.0, 6.0)
    for step in (size, -size):
        settings = Settings(
            RULE_NUMBERS[rule], OBJECTIVE_NUMBERS[objective], step, epsilon, 0.1, 0.9
        )
        found = attack(library, case.x, centre, case.y, settings, 1)
        gradient = case.input_gradient(objective)
        moved = case.x.double() + step * RULES[rule](gradient)
        expected = confined(rule, moved, centre.double(), epsilon)
        # The sign of a gradient next to zero is a matter of rounding.
        clear = gradient.abs() > 1e-4 * gradient.abs().amax() if rule == "sign" else gradient > -9
        assert clear.double().mean() > 0.95
        assert (found - expected)[clear].abs().max() < 2e-5
        moved_at_all = (found - case.x).abs().mean()
        assert moved_at_all > 1e-3


@pytest.mark.parametrize("kind", layout_names())
def test_many_steps_in_one_call_are_single_steps_bit_for_bit(libraries, kind):
    library = libraries[MIXED, kind]
    case = sample(MIXED, 8, 17)
    library.load(case.parameters)
    settings = Settings(RULE_NUMBERS["l2"], OBJECTIVE_NUMBERS["log_odds"], 0.3, 2.0, 0.0, 1.0)
    whole = attack(library, case.x, case.x, case.y, settings, 5)
    single = case.x
    for _ in range(5):
        single = attack(library, single, case.x, case.y, settings, 1, threads=1)
    assert torch.equal(whole, single)
    in_place = case.x.clone()
    library.attack(in_place, case.x, case.y, in_place, settings, 5, 2)
    assert torch.equal(whole, in_place)
    assert torch.equal(attack(library, case.x, case.x, case.y, settings, 0), case.x)


@pytest.mark.parametrize("kind", layout_names())
def test_images_do_not_depend_on_their_batch(libraries, kind):
    library = libraries[MIXED, kind]
    case = sample(MIXED, 9, 33)
    library.load(case.parameters)
    whole, part = torch.empty_like(case.x), torch.empty_like(case.x[7:12])
    library.input_gradient(case.x, case.y, whole, 0, 3)
    library.input_gradient(case.x[7:12], case.y[7:12], part, 0, 1)
    # In tiles the order of an image's sums depends on how many images go together.
    rounding = 0 if kind == "wide" else 2e-6 * float(whole.abs().max())
    assert (whole[7:12] - part).abs().max() <= rounding
    again = torch.empty_like(case.x)
    library.input_gradient(case.x, case.y, again, 0, 3)
    assert torch.equal(whole, again)


@pytest.mark.parametrize("kind", layout_names())
def test_only_what_has_changed_is_packed_again(libraries, kind):
    library = libraries[MIXED, kind]
    tensors = [p.detach().clone() for p in sample(MIXED, 3, 1).parameters]
    library.load(tensors)
    assert library.load(tensors) == 0
    assert library.load([t.clone() for t in tensors]) == 0
    tensors[2][0, 0, 0, 0] += 1
    tensors[5][0] += 1
    assert library.load(tensors) == 2
    fresh = torch.full_like(library.packed, float("nan"))
    library.pack(pointers(tensors), fresh)
    assert torch.equal(fresh, library.packed)
    tensors[0].zero_()
    assert library.load(tensors) == 1
    tensors[0].neg_()  # minus zero: other bits
    assert library.load(tensors) == 1


def padding(library, parameters):
    """Where the packed space holds no parameter."""
    ones = [None if p is None else torch.ones_like(p) for p in parameters]
    packed = torch.full((library.packed_size,), float("nan"))
    library.pack(pointers(ones), packed)
    assert torch.equal(packed != 0, packed == 1)
    used = packed == 1
    starts = library.segments(len(parameters))
    for number, parameter in enumerate(parameters):
        if parameter is None:  # the gradient of a bias that is not there may be anything
            used[starts[number] : starts[number + 1]] = True
    return ~used


@pytest.mark.parametrize("kind", layout_names())
@pytest.mark.parametrize("name", ["three-convolutions", MIXED, "dense"])
def test_what_is_not_a_number_stays_with_its_image_and_its_call(libraries, name, kind):
    library = libraries[name, kind]
    case = sample(name, 2, 17)
    library.load(case.parameters)
    clean, beside = torch.empty_like(case.x), torch.empty_like(case.x)
    library.input_gradient(case.x, case.y, clean, 0, 1)
    spoilt = case.x.clone()
    spoilt[3] = float("nan")
    spoilt[8] = float("inf")
    library.input_gradient(spoilt, case.y, beside, 0, 1)
    rest = [i for i in range(17) if i not in (3, 8)]
    assert torch.equal(beside[rest], clean[rest])
    loss, found, packed = library.gradients_of(spoilt, case.y, 1.0, case.parameters, 1)
    assert loss != loss
    assert all(g.isnan().any() for g in found if g is not None)
    assert not packed[padding(library, case.parameters)].any()
    # Nothing of it is left in the next call.
    library.input_gradient(case.x, case.y, beside, 0, 1)
    assert torch.equal(beside, clean)
    _, before, _ = library.gradients_of(case.x, case.y, 1.0, case.parameters, 1)
    assert all(g.isfinite().all() for g in before if g is not None)
    # Nor of weights that are not numbers.
    bad = [None if p is None else torch.full_like(p, float("nan")) for p in case.parameters]
    library.load(bad)
    loss, _, _ = library.gradients_of(case.x, case.y, 1.0, case.parameters, 1)
    assert loss != loss
    library.load(case.parameters)
    _, after, _ = library.gradients_of(case.x, case.y, 1.0, case.parameters, 1)
    for one, other in zip(before, after, strict=True):
        assert one is other is None or torch.equal(one, other)


@pytest.mark.parametrize("kind", layout_names())
@pytest.mark.parametrize("scale", [1e-20, 30.0])
def test_confident_and_flat_networks_keep_their_gradients(libraries, kind, scale):
    """Logits of thousands, or all but equal: every objective's gradient stays right."""
    case = sample("dense", 4, 17)
    with torch.no_grad():
        for model in (case.model, case.exact):
            model[-1].weight.mul_(scale)
            model[-1].bias.mul_(scale)
            model[-1].weight[0] += 5 * (scale > 1)
    case.y.zero_()
    assert (case.logits().argmax(1) == 0).any() or scale < 1
    library = libraries["dense", kind]
    library.load(case.parameters)
    for name in ("log_odds", "study"):
        found, expected = torch.empty_like(case.x), case.input_gradient(name)
        library.input_gradient(case.x, case.y, found, OBJECTIVE_NUMBERS[name], 1)
        for mine, wanted in zip(found, expected, strict=True):
            assert (mine - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_a_kernel_computes_with_denormals(libraries):
    library = libraries["linear", "wide"]
    weight = torch.zeros(2, 15)
    weight[0, 0] = 1e-40
    library.load([weight, None])
    logits = torch.empty(1, 2)
    library.logits(torch.ones(1, 1, 3, 5), logits, 1)
    assert logits[0, 0].item() == ctypes.c_float(1e-40).value > 0


@pytest.mark.parametrize("kind", layout_names())
@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_pooling_does_not_hide_what_is_not_a_number(libraries, kind, position):
    """Of one pixel in a pooling window, wherever it stands."""
    case = sample("kernel-7", 1, 4)
    library = libraries["kernel-7", kind]
    library.load(case.parameters)
    x = case.x.clone()
    x[:, :, 6 + position // 2, 4 + position % 2] = float("nan")
    out = torch.empty(4, 3)
    library.logits(x, out, 1)
    assert case.model(x).isnan().all()
    assert out.isnan().all()
