from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring import FGSM, PGD, GradientAscent
from sparring.attacks.clean import Clean
from sparring.attacks.square import Square
from sparring.data.arrays import ArrayImages
from sparring.errors import SparringError
from sparring.evaluation import count_correct
from sparring.randomness import ImageStreams
from sparring.robustness.measure import Subject

NAN, INFINITY = float("nan"), float("inf")

BAD_SETTINGS = [
    (FGSM, {"epsilon": -0.1}, "epsilon must be a finite number at least 0, not -0.1"),
    (FGSM, {"epsilon": NAN}, "epsilon must be a finite number at least 0, not nan"),
    (FGSM, {"epsilon": "0.3"}, "epsilon must be a finite number at least 0, not '0.3'"),
    (FGSM, {"targeted": "no"}, "targeted must be true or false, not 'no'"),
    (FGSM, {"objective": "hinge"}, "objective must be one of 'cross_entropy', 'margin', 'study'"),
    (FGSM, {"bounds": (1.0, 0.0)}, "bounds must be two numbers (low, high) with low < high, not"),
    (FGSM, {"bounds": (0.0, 0.5, 1.0)}, "bounds must be two numbers (low, high) with low < high"),
    (FGSM, {"bounds": 1.0}, "bounds must be two numbers (low, high) with low < high, not 1.0"),
    (FGSM, {"bounds": (0.0, NAN)}, "bounds must be two numbers (low, high) with low < high, not"),
    (GradientAscent, {"step_size": 0.0}, "step_size must be a finite number above 0, not 0.0"),
    (GradientAscent, {"step_size": True}, "step_size must be a finite number above 0, not True"),
    (GradientAscent, {"steps": 0}, "steps must be an integer of at least 1, not 0"),
    (
        GradientAscent,
        {"objective": ""},
        "objective must be one of 'cross_entropy', 'margin', 'study', ",
    ),
    (GradientAscent, {"bounds": (0.0, 0.0)}, "bounds must be two numbers (low, high) with low <"),
    (PGD, {"epsilon": -1}, "epsilon must be a finite number at least 0, not -1"),
    (PGD, {"step_size": -0.01}, "step_size must be a finite number above 0, not -0.01"),
    (PGD, {"step_size": INFINITY}, "step_size must be a finite number above 0, not inf"),
    (PGD, {"steps": 1.5}, "steps must be an integer of at least 1, not 1.5"),
    (PGD, {"norm": "l1"}, "norm must be one of 'l2', 'linf', not 'l1'"),
    (PGD, {"norm": ["l2"]}, "norm must be one of 'l2', 'linf', not ['l2']"),
    (PGD, {"random_start": 1}, "random_start must be true or false, not 1"),
    (PGD, {"restarts": 0}, "restarts must be an integer of at least 1, not 0"),
    (PGD, {"restarts": 2}, "restarts must be 1 where random_start is false, since all would end"),
    (PGD, {"momentum": -0.5}, "momentum must be a finite number at least 0, not -0.5"),
    (PGD, {"targeted": None}, "targeted must be true or false, not None"),
    (
        PGD,
        {"objective": "ce"},
        "objective must be one of 'cross_entropy', 'margin', 'study', not 'ce'",
    ),
    (PGD, {"backend": "gpu"}, "backend must be one of 'auto', 'fused', 'torch', not 'gpu'"),
    (PGD, {"bounds": (2, 1)}, "bounds must be two numbers (low, high) with low < high, not (2, 1"),
]


@pytest.mark.parametrize(("attack", "settings", "message"), BAD_SETTINGS)
def test_bad_settings_are_refused_in_one_sentence(attack, settings, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the whole text is compared below)
        attack(**settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_signatures_are_the_promised_ones():
    def defaults(attack):
        return {k: p.default for k, p in inspect.signature(attack).parameters.items()}

    assert defaults(FGSM) == {
        "epsilon": 0.3, "targeted": False, "objective": "cross_entropy", "bounds": (0.0, 1.0),
        "backend": "auto",
    }  # fmt: skip
    assert defaults(GradientAscent) == {
        "step_size": 1.0, "steps": 15, "objective": "study", "bounds": (-5.0, 5.0),
        "backend": "auto",
    }  # fmt: skip
    assert defaults(PGD) == {
        "epsilon": 0.3, "step_size": 0.01, "steps": 40, "norm": "linf", "random_start": False,
        "restarts": 1, "momentum": 0.0, "targeted": False, "objective": "cross_entropy",
        "bounds": (0.0, 1.0), "backend": "auto",
    }  # fmt: skip


def test_attacks_are_values():
    assert PGD(bounds=[0, 1]) == PGD()  # as a TOML file gives them
    assert hash(PGD(bounds=[0, 1])) == hash(PGD())
    assert "epsilon=0.3" in repr(PGD())
    with pytest.raises(dataclasses.FrozenInstanceError):
        PGD().epsilon = 1.0


X = torch.full((3, 1, 4, 4), 0.5)
Y = torch.tensor([0, 1, 2])

BAD_INPUTS = [
    (X.to(torch.uint8), Y, "x must have a floating dtype, not torch.uint8"),
    (X[0, 0, 0, 0], Y, "x must be a batch of shape (n, ...), not ()"),
    (X, Y.float(), "y must have an integer dtype, not torch.float32"),
    (X, Y > 0, "y must have an integer dtype, not torch.bool"),
    (X, Y[:2], "y must have shape (3,), one label for each image of x, not (2,)"),
    (X, Y[:, None], "y must have shape (3,), one label for each image of x, not (3, 1)"),
    (X, Y - 1, "y must hold labels of at least 0, not -1"),
    (X, Y + 3, "y must hold labels below 5, the model's number of classes, not 5"),
    (X, (Y - 1).to(torch.uint64), f"y must hold labels below 2**63, not {2**64 - 1}"),
    (X.numpy(), Y, "x must be a torch.Tensor, not a ndarray"),
    (X, [0, 1, 2], "y must be a torch.Tensor, not a list"),
]


@pytest.mark.parametrize("attack", [FGSM(), GradientAscent(), PGD(), Square()], ids=str)
@pytest.mark.parametrize(("x", "y", "message"), BAD_INPUTS)
def test_bad_inputs_are_refused(model, attack, x, y, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the whole text is compared below)
        attack(model.float(), x, y)
    assert str(error.value) == message


@pytest.mark.parametrize("attack", [FGSM(), PGD()], ids=str)
@pytest.mark.parametrize("pixel", [-0.01, 1.5, NAN])
def test_pixels_outside_the_bounds_are_refused(model, attack, pixel):
    x = X.clone()
    x[1, 0, 2, 3] = pixel
    with pytest.raises(ValueError, match=r"^x must lie within bounds \(0, 1\), but holds "):
        attack(model.float(), x, Y)


def test_ascent_takes_pixels_outside_its_bounds(model):
    result = GradientAscent(steps=1, bounds=(0.0, 1.0))(model.float(), X + 4, Y)
    assert float(result.max()) <= 1.0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (nn.Identity(), r"logits of shape \(3, classes\) with at least 2 classes, not \(3, 1, 4,"),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), r"with at least 2 classes, not \(3, 1\)"),
        (nn.Flatten(0), r"logits of shape \(3, classes\) .*, not \(48,\)"),
    ],
)
def test_a_model_without_logits_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        FGSM()(bad, X, Y)


class Wrapped(nn.Module):
    """Logits in something else."""

    def __init__(self, wrap):
        super().__init__()
        self.layer, self.wrap = nn.Linear(16, 5), wrap

    def forward(self, x):
        return self.wrap(self.layer(x.flatten(1)))


@pytest.mark.parametrize("wrap", [lambda z: (z, z), lambda z: {"logits": z}, lambda z: [z]])
def test_a_model_that_returns_no_tensor_is_told_what_it_should_return(wrap):
    model = Wrapped(wrap)
    kind = type(wrap(0)).__name__
    wanted = rf"must return logits, a tensor of shape \(images, classes\), not a {kind}; wrap it"
    for attack in (FGSM(), PGD(), GradientAscent(), Square()):
        with pytest.raises(ValueError, match=wanted):
            attack(model, X, Y)
    data = ArrayImages(X, Y)
    for attack in (None, FGSM()):
        with pytest.raises(SparringError, match=wanted):
            count_correct(model, data, range(3), attack)
    with pytest.raises(SparringError, match=wanted):
        Subject(model, data, 3).clean()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for attack in (FGSM(), Clean()):
        with pytest.raises(SparringError, match=wanted):
            sparring.Trainer(model, optimizer, (X, Y), attack, batch_size=3).fit(updates=1)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("attack", [PGD(steps=2), Square(queries=2)], ids=str)
def test_labels_may_be_of_every_integer_type(model, attack, bits):
    found = [
        attack(model.float(), X, Y.to(kind), generator=torch.Generator())
        for kind in (torch.int64, getattr(torch, f"uint{bits}"))
    ]
    assert torch.equal(*found)


def test_numbers_of_numpy_are_as_good_as_pythons():
    mine = PGD(np.float32(0.25), np.float64(0.5), np.int64(3), random_start=np.True_,
               restarts=np.uint8(2), bounds=np.array([0.0, 1.0]))  # fmt: skip
    plain = PGD(0.25, 0.5, 3, random_start=True, restarts=2, bounds=(0.0, 1.0))
    assert repr(mine) == repr(plain)
    assert mine == plain
    for bad in (np.float64(3.0), np.int64(0), True, torch.tensor(3)):
        with pytest.raises(ValueError, match="steps must be an integer of at least 1, not"):
            PGD(steps=bad)


@pytest.mark.parametrize("differentiable", [False, True])  # in anything else
def test_a_model_that_is_not_differentiable_is_refused(differentiable):
    class Detached(nn.Module):
        def forward(self, x):
            return x.detach().flatten(1) + torch.zeros((), requires_grad=differentiable)

    with pytest.raises(ValueError, match="the model must be differentiable in its input"):
        PGD()(Detached(), X, Y)


@pytest.mark.parametrize("generator", [3, ImageStreams(0, 0, [1, 2, 3])])
def test_a_wrong_generator_is_refused(model, generator):
    with pytest.raises(ValueError, match=r"generator must be a torch\.Generator, a RandomSource"):
        PGD()(model.float(), X, Y, generator=generator)


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_a_function_is_no_model(model, backend):
    with pytest.raises(ValueError, match=r"must be a torch\.nn\.Module, not a function; wrap it"):
        PGD(backend=backend)(lambda x: model(x), X, Y)
