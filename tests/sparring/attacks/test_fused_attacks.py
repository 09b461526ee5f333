"""Attacks on the fused engine: the same as on PyTorch, with the same guarantees."""

from __future__ import annotations

import copy
import dataclasses
import gc
import threading
import weakref

import pytest
import torch
from torch import nn

import sparring
from sparring import backends
from sparring.attacks import FGSM, PGD, GradientAscent
from sparring.attacks.objectives import cross_entropy
from sparring.backends import BackendError, engine_of
from sparring.fused import engine as engines
from sparring.fused import machine
from sparring.fused.building import build as building
from sparring.networks import Normalize
from tests.sparring.compute.fused_training_ranks import CLASSES, SHAPE
from tests.sparring.compute.fused_training_ranks import small as make


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """In half the time; kernels as users get them are tried by the tests of training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_CXXFLAGS", "-Og")
        yield


@pytest.fixture(autouse=True)
def open_backend(monkeypatch):
    """The backend is the attack's own choice."""
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)


def images(count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((count, *SHAPE), generator=generator, dtype=dtype)
    return x, torch.randint(0, CLASSES, (count,), generator=generator)


@pytest.fixture(scope="module")
def trained():
    """A network that has learned something, and images that it has seen."""
    model = make()
    x, y = images(200)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    assert (model(x).argmax(1) == y).float().mean() > 0.9
    return model


def both(attack, model, x, y, **keywords):
    """The adversaries of PyTorch and of the engine."""
    results = []
    for backend in ("torch", "fused"):
        chosen = type(attack)(**{**vars(attack), "backend": backend})
        results.append(chosen(model, x, y, generator=torch.Generator().manual_seed(1), **keywords))
    return results


ATTACKS = {
    "fgsm": FGSM(epsilon=0.05),
    "fgsm targeted study": FGSM(epsilon=0.05, targeted=True, objective="study"),
    "ascent study": GradientAscent(step_size=0.02, steps=8, bounds=(0.0, 1.0)),
    "ascent cross-entropy": GradientAscent(
        step_size=0.05, steps=8, objective="cross_entropy", bounds=(-0.5, 1.5)
    ),
    "linf": PGD(epsilon=0.05, step_size=0.01, steps=12),
    "linf study": PGD(epsilon=0.05, step_size=0.01, steps=12, objective="study"),
    "linf targeted restarts": PGD(
        epsilon=0.05, step_size=0.01, steps=6, random_start=True, restarts=3, targeted=True
    ),
    "l2": PGD(epsilon=0.5, step_size=0.1, steps=12, norm="l2"),
    "l2 random restarts": PGD(
        epsilon=0.5, step_size=0.1, steps=6, norm="l2", random_start=True, restarts=2
    ),
    "linf momentum": PGD(epsilon=0.05, step_size=0.01, steps=8, momentum=0.9),
    "l2 momentum": PGD(epsilon=0.5, step_size=0.1, steps=8, norm="l2", momentum=0.5),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_adversaries_are_those_of_pytorch(trained, name):
    attack = ATTACKS[name]
    x, y = images(75)
    if getattr(attack, "targeted", False):
        y = (y + 1) % CLASSES
    theirs, mine = both(attack, trained, x, y)
    # A pixel whose gradient is next to zero may go either way, and others follow.
    assert ((mine - theirs).abs() > 1e-4).float().mean() < 0.01
    with torch.no_grad():
        before, after, wanted = (trained(images) for images in (x, mine, theirs))
    loss = cross_entropy(after, y).mean()
    torch.testing.assert_close(loss, cross_entropy(wanted, y).mean(), rtol=0.01, atol=1e-4)
    hits = ((after.argmax(1) == y) != (wanted.argmax(1) == y)).sum()
    assert hits <= 1
    direction = -1 if getattr(attack, "targeted", False) else 1
    assert direction * (loss - cross_entropy(before, y).mean()) > 0.01


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_guarantees(trained, name, surroundings):
    attack = type(ATTACKS[name])(**{**vars(ATTACKS[name]), "backend": "fused"})
    model = copy.deepcopy(trained).train()
    model[4].eval()
    model[1].bias.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    marks = [torch.full_like(p, i) for i, p in enumerate(model.parameters())]
    for parameter, mark in zip(model.parameters(), marks, strict=True):
        if parameter.requires_grad:
            parameter.grad = mark
    weights = [p.detach().clone() for p in model.parameters()]
    x, y = images(19)
    kept = x.clone(), y.clone()
    state = torch.random.get_rng_state()
    with surroundings():
        x_adv = attack(model, x, y, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])
    assert x_adv.data_ptr() != x.data_ptr()
    assert (x_adv.shape, x_adv.dtype, x_adv.requires_grad) == (x.shape, x.dtype, False)
    assert not x_adv.is_inference()
    assert attack.bounds[0] <= x_adv.min() <= x_adv.max() <= attack.bounds[1]
    delta = (x_adv - x).flatten(1)
    epsilon = getattr(attack, "epsilon", 100)
    size = delta.norm(dim=1).max() if getattr(attack, "norm", "") == "l2" else delta.abs().max()
    assert 0 < size <= epsilon * (1 + 1e-5)
    assert [module.training for module in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == flags
    for parameter, mark, weight in zip(model.parameters(), marks, weights, strict=True):
        assert torch.equal(parameter, weight)
        assert parameter.grad is (mark if parameter.requires_grad else None)


def pgd(backend="fused", **settings):
    return PGD(**{"epsilon": 0.1, "step_size": 0.02, "steps": 3, **settings}, backend=backend)


@pytest.mark.parametrize("count", [0, 1, 5, 16, 17, 40])
def test_any_number_of_images_and_any_layout_in_memory(trained, count):
    x, y = images(2 * count)
    expected = pgd()(trained, x[::2].contiguous(), y[::2].contiguous())
    assert torch.equal(pgd()(trained, x[::2], y[::2]), expected)
    assert torch.equal(pgd()(trained, x[::2], y[::2].to(torch.int32)), expected)
    assert torch.equal(pgd()(trained, x[::2], y[::2].to(torch.uint8)), expected)
    last = x[::2].contiguous(memory_format=torch.channels_last)
    assert torch.equal(pgd()(trained, last, y[::2]), expected)
    turned = x[::2].transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(pgd()(trained, turned, y[::2]), expected)
    one = x[:1].expand(count, *SHAPE) if count else x
    assert torch.equal(pgd()(trained, one, y[:count]), pgd()(trained, one.clone(), y[:count]))
    assert torch.equal(pgd()(trained, x[::2].requires_grad_(), y[::2]), expected)


@pytest.mark.parametrize(
    ("attack", "change"),
    [
        (pgd, lambda x, y: (x, y.index_fill(0, torch.tensor([3]), CLASSES))),
        (pgd, lambda x, y: (x, y.index_fill(0, torch.tensor([3]), 2**40))),
        (pgd, lambda x, y: (x, y.index_fill(0, torch.tensor([3]), -1))),
        (pgd, lambda x, y: (x, y.float())),
        (pgd, lambda x, y: (x, y[:-1])),
        (pgd, lambda x, y: (x.index_fill(0, torch.tensor([2]), float("nan")), y)),
        (pgd, lambda x, y: (2 * x, y)),
    ],
)
def test_what_pytorch_refuses_the_engine_refuses_in_the_same_words(trained, attack, change):
    x, y = change(*images(17))
    messages = []
    for backend in ("torch", "fused"):
        with pytest.raises(ValueError, match="must") as info:
            attack(backend)(trained, x, y)
        messages.append(str(info.value))
    assert messages[0] == messages[1]


def test_one_class_is_refused_in_the_same_words():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    x, y = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64)
    for backend in ("torch", "fused"):
        with pytest.raises(
            ValueError, match=r"logits of shape \(3, classes\) with at least 2 .*, 1"
        ):
            pgd(backend)(model, x, y)


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
@pytest.mark.parametrize("backend", ["torch", "fused"])
def test_every_must_be_a_count(trained, backend, every):
    with pytest.raises(ValueError, match="every must be an integer of at least 1"):
        pgd(backend)(trained, *images(2), on_step=print, every=every)


def test_wrong_image_shape(trained, caplog):
    x, y = torch.rand(3, 1, 9, 9), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(BackendError, match="takes 96 inputs and is given 32"):
        pgd()(trained, x, y)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        pgd("auto")(trained, x, y)


@pytest.mark.parametrize("every", [None, 2])
def test_ascent_of_an_image_without_a_usable_gradient(trained, every, caplog):
    """Both backends leave it where it is, say so, and treat the others as ever."""
    x, y = images(40)
    spoilt = x.clone()
    spoilt[7, 0, 3, 3] = float("inf")  # the attack without a ball takes it, and clamps it
    watch = {} if every is None else {"on_step": lambda step: None, "every": every}

    def attack(backend, x):
        ascent = GradientAscent(0.1, 4, "cross_entropy", bounds=(0.0, 1.0), backend=backend)
        return ascent(trained, x, y, **watch)

    clean, found, expected = attack("fused", x), attack("fused", spoilt), attack("torch", spoilt)
    rest = [i for i in range(40) if i != 7]
    assert torch.equal(found[rest], clean[rest])
    torch.testing.assert_close(found[7], expected[7], rtol=1e-4, atol=1e-5)
    assert not torch.equal(found[7], spoilt[7].clamp(0, 1))  # its later steps have a gradient
    told = [line for line in lines(caplog) if "gradients that are not finite (numbers 7)" in line]
    assert len(told) == 2


@pytest.mark.parametrize("backend", ["fused", "torch"])
@pytest.mark.parametrize(
    "attack",
    [
        PGD(0.3, 0.1, 3), PGD(1.0, 0.3, 3, norm="l2"), PGD(0.3, 0.1, 3, momentum=0.9),
        PGD(0.3, 0.1, 3, objective="margin"), PGD(0.3, 0.1, 3, objective="study"), FGSM(0.3),
        GradientAscent(steps=3, bounds=(0.0, 1.0)),
    ],
    ids=str,
)  # fmt: skip
def test_a_network_of_no_numbers_has_adversaries_of_numbers(attack, backend, trained, caplog):
    model = copy.deepcopy(trained)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    x, y = images(5)
    assert torch.equal(dataclasses.replace(attack, backend=backend)(model, x, y), x)
    (line,) = [line for line in lines(caplog) if "not finite" in line]
    assert "5 of 5 images" in line


# Weights that change.


def change_in_place(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    nn.functional.cross_entropy(model(images(30, 5)[0]), images(30, 5)[1]).backward()
    optimizer.step()
    optimizer.zero_grad()


def change_one_number(model):
    model[4].weight.data[3, 2, 1, 1] += 5


def change_data(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 1.5


def change_state(model):
    model.load_state_dict(make(9).state_dict())


def change_layer(model):
    model[7] = nn.Linear(8 * 4 * 3, 20)


def change_parameter(model):
    model[9].weight = nn.Parameter(model[9].weight.detach() * 2)


def change_normalisation(model):
    model[0].mean += 0.2


def change_storage(model):
    model[4].weight.data = make(9)[4].weight.data.contiguous(memory_format=torch.channels_last)
    assert not model[4].weight.is_contiguous()


CHANGES = [
    change_in_place, change_one_number, change_data, change_state, change_layer, change_parameter,
    change_normalisation,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_weights_are_seen(trained, change):
    model = copy.deepcopy(trained)
    x, y = images(20)
    attack = pgd(norm="l2", epsilon=1.0, step_size=0.2)
    before = attack(model, x, y)
    change(model)
    theirs, mine = both(attack, model, x, y)
    assert (mine - before).abs().max() > 1e-3
    assert ((mine - theirs).abs() > 1e-4).float().mean() < 0.01


def test_a_layout_that_the_kernel_cannot_read_falls_back(trained, caplog):
    model = copy.deepcopy(trained)
    x, y = images(20)
    pgd("auto")(model, x, y)
    change_storage(model)
    assert torch.equal(pgd("auto")(model, x, y), pgd("torch")(model, x, y))
    assert "not a dense contiguous array" in caplog.text


@pytest.mark.parametrize("every", [1, 3, 7])
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.5}, {"random_start": True, "restarts": 2}])
def test_weights_written_in_the_middle_of_an_attack(trained, every, settings):
    x, y = images(33)
    results, steps = {}, {}
    for backend in ("torch", "fused"):
        model = copy.deepcopy(trained)
        target = make(7).state_dict()
        told = steps[backend] = []

        def on_step(step, model=model, target=target, told=told):
            assert not torch.is_grad_enabled()
            told.append(step)
            if step:
                for name, tensor in model.state_dict().items():
                    tensor.lerp_(target[name], 0.3)

        attack = pgd(backend, steps=10, norm="l2", epsilon=1.5, step_size=0.2, **settings)
        generator = torch.Generator().manual_seed(1)
        results[backend] = attack(model, x, y, generator=generator, on_step=on_step, every=every)
    total = 10 * settings.get("restarts", 1)
    assert steps["fused"] == steps["torch"] == list(range(0, total, every))
    off = (results["fused"] - results["torch"]).abs() > 1e-4
    assert off.float().mean() < 0.02
    still = pgd("torch", steps=10, norm="l2", epsilon=1.5, step_size=0.2, **settings)(
        trained, x, y, generator=torch.Generator().manual_seed(1)
    )
    assert ((results["fused"] - still).abs() > 1e-3).float().mean() > 0.3


def test_an_exception_in_on_step_leaves_all_as_it_was(trained):
    model = copy.deepcopy(trained).train()

    def on_step(step):
        if step == 2:
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        pgd(steps=5)(model, *images(20), on_step=on_step)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert torch.equal(pgd()(model, *images(20)), pgd()(trained, *images(20)))


def test_a_hook_is_called_again(trained, caplog):
    model = copy.deepcopy(trained)
    x, y = images(20)
    pgd("auto")(model, x, y)
    assert not caplog.records
    calls = []
    handle = model[4].register_forward_hook(lambda *_: calls.append(1))
    pgd("auto")(model, x, y)
    assert len(calls) == 3
    assert len(caplog.records) == 1
    assert "has hooks" in caplog.text
    with pytest.raises(BackendError, match="has hooks"):
        pgd()(model, x, y)
    handle.remove()
    pgd()(model, x, y)
    assert len(calls) == 3


def test_engines_live_as_long_as_their_models(trained):
    model = copy.deepcopy(trained)
    engine = sparring.compile(model, SHAPE)
    assert sparring.compile(model, SHAPE) is engine
    twin = copy.deepcopy(model)
    other = sparring.compile(twin, SHAPE)
    assert other is not engine
    change_state(twin)
    x, _ = images(20)
    torch.testing.assert_close(engine.logits(x), model(x).detach())
    torch.testing.assert_close(sparring.compile(twin, SHAPE).logits(x), twin(x).detach())
    dead = weakref.ref(engine), weakref.ref(model)
    del engine, model
    gc.collect()
    assert [reference() for reference in dead] == [None, None]
    assert sparring.compile(twin, SHAPE) is other


def test_an_engine_goes_with_its_model_at_once(trained):
    model = copy.deepcopy(trained)
    engine = weakref.ref(sparring.compile(model, SHAPE))
    gc.collect()
    gc.disable()
    try:
        del model
        assert engine() is None
    finally:
        gc.enable()


def test_one_model_for_two_image_shapes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    for shape in ((1, 4, 6), (2, 3, 4), (1, 4, 6)):
        x = torch.rand(5, *shape)
        engine = sparring.compile(model, shape)
        torch.testing.assert_close(engine.logits(x), model(x).detach())
    assert sparring.compile(model, (1, 4, 6)) is engine
    assert sparring.compile(model, (2, 3, 4)) is not engine


def test_two_threads_on_one_model(trained):
    model = copy.deepcopy(trained)
    sparring.compile(model, SHAPE)
    batches = [images(33, seed) for seed in range(2)]
    expected = [pgd(steps=20)(model, *batch) for batch in batches]
    wrong, done = [], []

    def work(number):
        for _ in range(15):
            found = pgd(steps=20)(model, *batches[number])
            done.append(number)
            if not torch.equal(found, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0] * 15 + [1] * 15
    assert not wrong


def test_a_refresh_while_weights_are_loaded_is_not_lost(trained, monkeypatch):
    """Another thread changes the weights and asks for an attack of its own meanwhile."""
    model = copy.deepcopy(trained)
    engine = sparring.compile(model, SHAPE)
    x, _ = images(16)
    repack = engines.ModelWeights.look

    def slow(self):
        result = repack(self)
        if not changed:
            changed.append(True)
            change_state(model)
            engine.refresh()
        return result

    changed = []
    monkeypatch.setattr(engines.ModelWeights, "look", slow)
    engine.refresh()
    engine.logits(x)
    assert changed
    torch.testing.assert_close(engine.logits(x), model(x).detach())


# Which backend serves.


def lines(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("sparring")]


UNSUPPORTED = {
    "float64": (lambda: make().double(), torch.float64, "images are float64"),
    "float64 weights": (lambda: make().double(), torch.float32, "is float64"),
    "layer": (lambda: nn.Sequential(*make()[:-1], nn.Tanh(), make()[-1]), torch.float32, "Tanh"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported(name, caplog):
    build, dtype, reason = UNSUPPORTED[name]
    model = build()
    x, y = images(5, dtype=dtype)
    with pytest.raises(BackendError, match=reason) as info:
        pgd()(model, x, y)
    assert isinstance(info.value, ValueError)
    assert not lines(caplog)
    if name != "float64 weights":  # PyTorch would not mix dtypes either
        for _ in range(3):
            assert torch.equal(pgd("auto")(model, x, y), pgd("torch")(model, x, y))
        (line,) = lines(caplog)
        assert reason in line
        pgd("auto")(build(), x, y)
        assert len(lines(caplog)) == 2  # of another model it is told again


def test_the_variable_makes_auto_mean_pytorch(trained, monkeypatch, caplog):
    model, (x, y) = copy.deepcopy(trained), images(5)
    built = []
    real = backends._build
    monkeypatch.setattr(backends, "_build", lambda *a: built.append(1) or real(*a))
    for value in ("torch", " TORCH "):
        monkeypatch.setenv("SPARRING_BACKEND", value)
        assert torch.equal(pgd("auto")(model, x, y), pgd("torch")(model, x, y))
        assert engine_of("auto", model, SHAPE) is None
    assert not built
    pgd("fused")(model, x, y)
    assert built == [1]
    monkeypatch.setenv("SPARRING_BACKEND", "auto")
    assert engine_of("auto", model, SHAPE) is not None
    assert not lines(caplog)


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(building, "_failures", {})


def test_without_a_compiler_pytorch_serves_and_says_so_once(no_cache, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "/nonexistent")
    model, (x, y) = make(), images(5)
    for _ in range(2):
        assert torch.equal(pgd("auto")(model, x, y), pgd("torch")(model, x, y))
    (line,) = lines(caplog)
    assert line == (
        "PyTorch computes this Sequential, not the fused engine: CXX=/nonexistent: there is no "
        "program /nonexistent"
    )
    with pytest.raises(BackendError, match="there is no program /nonexistent"):
        sparring.compile(model, SHAPE)


def test_a_kernel_that_computes_something_else_is_not_used(monkeypatch, caplog):
    monkeypatch.setattr(engines.agreement, "BOUND", 1e-9)
    model, (x, y) = make(), images(5)
    for _ in range(2):
        assert torch.equal(pgd("auto")(model, x, y), pgd("torch")(model, x, y))
    (line,) = lines(caplog)
    assert "the wide kernel's gradients are off by" in line


@pytest.mark.parametrize("method", ["input_gradient", "gradients"])
def test_the_self_check_finds_one_wrong_gradient(monkeypatch, method):
    right = getattr(engines.Library, method)

    def wrong(self, x, y, *rest):
        result = right(self, x, y, *rest)
        if self.block == 8:  # only one of the layouts
            if method == "gradients":
                rest[1][-16] *= 1.01  # of the last bias, which has one cache line
            else:
                rest[0][:] *= 1.01
        return result

    monkeypatch.setattr(engines.Library, method, wrong)
    with pytest.raises(
        BackendError, match=r"the tile kernel's gradients are off by [0-9.]+e-0[23]"
    ):
        sparring.compile(make(), SHAPE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e8])
def test_the_self_check_does_not_depend_on_the_weights(value):
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    engine = sparring.compile(model, SHAPE)
    change_state(model)
    assert sparring.compile(model, SHAPE) is engine
    x, _ = images(20)
    torch.testing.assert_close(engine.logits(x), model(x).detach())


def test_a_first_use_under_inference_mode():
    model, (x, y) = make(), images(20)
    with torch.inference_mode():
        found = pgd()(model, x, y)
    assert torch.equal(found, pgd()(model, x, y))


def test_another_default_dtype(trained):
    x, y = images(20)
    expected = pgd(random_start=True, restarts=2)(
        trained, x, y, generator=torch.Generator().manual_seed(1)
    )
    torch.set_default_dtype(torch.float64)
    try:
        model = copy.deepcopy(trained)
        found = pgd(random_start=True, restarts=2)(
            model, x, y, generator=torch.Generator().manual_seed(1)
        )
        logits = sparring.compile(model, SHAPE).logits(x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)
    torch.testing.assert_close(logits, trained(x).detach())


@pytest.mark.parametrize(
    ("mean", "std"), [(0.1, 0.0), (0.1, float("inf")), (float("inf"), 1.0), (0.0, 1e-39)]
)
def test_normalisation_by_what_is_no_number(mean, std, caplog):
    model = make()
    model[0].mean.fill_(mean)
    model[0].std.fill_(std)
    x, y = images(5)
    pgd("auto")(model, x, y)
    (line,) = [line for line in lines(caplog) if "gradients that are not finite" not in line]
    assert "images cannot be normalised by" in line


@pytest.mark.parametrize(("mean", "std"), [(101325.0, 100.0), (-273.15, 0.3)])
def test_images_far_from_0(mean, std):
    """Pascals and kelvins, say: the engine is made, and computes what PyTorch does."""
    torch.manual_seed(0)
    model = nn.Sequential(
        Normalize(mean, std), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    x = mean + std * torch.randn(20, 1, 8, 8)
    y = torch.arange(20) % 3
    bounds = (mean - 9 * std, mean + 9 * std)
    attacks = [PGD(0.3 * std, 0.05 * std, 5, bounds=bounds, backend=b) for b in ("fused", "torch")]
    found, expected = (attack(model, x, y) for attack in attacks)
    assert float(((found - expected).abs() > 1e-3 * std).double().mean()) < 0.01
    assert float((found - x).abs().max()) <= 0.301 * std


def test_images_too_far_from_0_for_float32_are_left_to_pytorch():
    model = nn.Sequential(Normalize(1e7, 100.0), nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(BackendError, match=r"lie more than 10000 standard deviations from 0"):
        sparring.compile(model, (1, 8, 8))


def test_compile(trained):
    model = copy.deepcopy(trained)
    engine = sparring.compile(model, SHAPE)
    assert engine.network.shape == SHAPE
    assert engine.network.classes == CLASSES
    assert list(engine.parameters) == list(model.parameters())
    assert engine.fits(model)
    model[4].register_forward_hook(lambda *_: None)
    assert not engine.fits(model)
    with pytest.raises(BackendError, match="takes 8 inputs and is given 1404"):
        sparring.compile(nn.Sequential(nn.Conv2d(1, 2, (3, 2)), nn.Flatten(), nn.Linear(8, 2)))


def test_an_engine_checks_what_it_is_given(trained):
    """Because its kernel does not."""
    engine = sparring.compile(trained, SHAPE)
    x, y = images(4)
    out = engine.space.zeros()
    for wrong in (x.double(), x[:, :, 1:], x[0], x.expand(4, 2, 12, 10)):
        with pytest.raises(ValueError, match=r"images must be float32 \(n, 1, 12, 10\)"):
            engine.logits(wrong)
        with pytest.raises(ValueError, match="images must be"):
            engine.gradients(wrong, y, 1.0, out)
        with pytest.raises(ValueError, match="images must be"):
            engine.input_gradient(wrong, y, 0)
    for labels in (y.int(), y[:3], y + CLASSES, y - CLASSES, y[:, None]):
        with pytest.raises(ValueError, match="labels must be"):
            engine.gradients(x, labels, 1.0, out)
        with pytest.raises(ValueError, match="labels must be"):
            engine.input_gradient(x, labels, 0)


@pytest.mark.parametrize("name", machine._offered())
def test_an_instruction_set_by_variable(monkeypatch, name):
    monkeypatch.setenv("SPARRING_ISA", name)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    x, y = torch.rand(20, 1, 4, 6), torch.zeros(20, dtype=torch.int64)
    assert sparring.compile(model, (1, 4, 6)).isa == name
    theirs, mine = both(pgd(norm="l2", epsilon=1.0, step_size=0.2), model, x, y)
    assert (mine - theirs).abs().max() < 1e-5
