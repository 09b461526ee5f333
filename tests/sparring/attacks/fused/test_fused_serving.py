"""Which backend serves, why the engine cannot, and its check of itself."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import sparring
from sparring import backends
from sparring.backends import BackendError, engine_of
from sparring.fused import engine as engines
from sparring.fused.building import build as building
from sparring.networks import Normalize
from tests.sparring.attacks.fused.attacking import change_state, images, lines, pgd
from tests.sparring.compute.fused_training_ranks import CLASSES, SHAPE
from tests.sparring.compute.fused_training_ranks import small as make

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
    right, make_library = getattr(engines.Library, method), engines.Library.__init__
    made = []

    def remembered(self, path):
        make_library(self, path)
        made.append(self)

    def wrong(self, x, y, *rest):
        result = right(self, x, y, *rest)
        if made.index(self) == 1:  # only one of the layouts
            if method == "gradients":
                rest[1][-16] *= 1.01  # of the last bias, which has one cache line
            else:
                rest[0][:] *= 1.01
        return result

    monkeypatch.setattr(engines.Library, "__init__", remembered)
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
