"""Attacks against references written in NumPy, float64, one image at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from sparring import FGSM, PGD, GradientAscent
from sparring.attacks import KeyedSource
from sparring.randomness import ImageStreams

IMAGES = [11, 3, 8, 100, 0, 7]
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


class Reference:
    """The network of the fixture for one image, with its gradient by hand."""

    def __init__(self, model):
        self.A, self.a = (p.detach().numpy() for p in model[1].parameters())
        self.B, self.b = (p.detach().numpy() for p in model[3].parameters())

    def logits(self, x):
        return self.B @ np.maximum(self.A @ x + self.a, 0) + self.b

    def value(self, x, y, objective):
        z = self.logits(x)
        if objective == "study":
            return z.sum() - 2 * z[y]
        return np.log(np.exp(z).sum()) - z[y]

    def gradient(self, x, y, objective):
        z = self.logits(x)
        dz = np.ones(5) if objective == "study" else np.exp(z) / np.exp(z).sum()
        dz[y] -= 2 if objective == "study" else 1
        hidden = self.A @ x + self.a > 0
        return self.A.T @ (hidden * (self.B.T @ dz))


def by_image(x, y, function):
    """The function of (pixels, label, row) on each image, as a tensor shaped like x."""
    rows = [
        function(pixels, label, i)
        for i, (pixels, label) in enumerate(
            zip(x.reshape(len(x), -1).numpy(), y.tolist(), strict=True)
        )
    ]
    return torch.from_numpy(np.stack(rows)).reshape(x.shape)


@pytest.mark.parametrize(
    ("targeted", "objective"), list(product([False, True], ["cross_entropy", "study"]))
)
def test_fgsm(model, batch, targeted, objective):
    x, y = batch
    reference = Reference(model)
    sign = -1 if targeted else 1

    def attack(pixels, label, row):
        g = reference.gradient(pixels, label, objective)
        return np.clip(pixels + sign * 0.2 * np.sign(g), 0, 1)

    result = FGSM(epsilon=0.2, targeted=targeted, objective=objective)(model, x, y)
    torch.testing.assert_close(result, by_image(x, y, attack), **CLOSE)


@pytest.mark.parametrize("objective", ["cross_entropy", "study"])
def test_gradient_ascent(model, batch, objective):
    x, y = batch
    reference = Reference(model)

    def attack(pixels, label, row):
        for _ in range(7):
            g = reference.gradient(pixels, label, objective)
            pixels = np.clip(pixels + 0.9 * g, -0.5, 1.25)
        return pixels

    ascent = GradientAscent(step_size=0.9, steps=7, objective=objective, bounds=(-0.5, 1.25))
    result = ascent(model, x, y)
    torch.testing.assert_close(result, by_image(x, y, attack), **CLOSE)
    assert (result == -0.5).any()  # the clamp was at work
    assert (result == 1.25).any()


def pgd_reference(reference, attack, start, pixels, label):
    """One run of PGD on one image from the start."""
    sign = -1 if attack.targeted else 1
    low, high = attack.bounds

    def confine(point):
        delta = point - pixels
        if attack.norm == "linf":
            delta = np.clip(delta, -attack.epsilon, attack.epsilon)
        elif np.linalg.norm(delta) > attack.epsilon:
            delta *= attack.epsilon / np.linalg.norm(delta)
        return np.clip(pixels + delta, low, high)

    point, velocity = (confine(start) if attack.random_start else pixels), 0.0
    for _ in range(attack.steps):
        g = reference.gradient(point, label, attack.objective)
        velocity = attack.momentum * velocity + g / np.abs(g).sum()
        unit = np.sign(velocity) if attack.norm == "linf" else velocity / np.linalg.norm(velocity)
        point = confine(point + sign * attack.step_size * unit)
    return point


def starts_reference(attack, streams, x):
    """Every image's random start, ``(n, pixels)``."""
    n, d = len(x), x[0].numel()
    if not attack.random_start:
        return np.zeros((n, d))
    pixels = x.reshape(n, d).numpy()
    if attack.norm == "linf":
        return pixels + streams.uniform((n, d), -attack.epsilon, attack.epsilon)
    v = streams.normal((n, d))
    radius = attack.epsilon * streams.uniform((n,), 0.0, 1.0) ** (1 / d)
    return pixels + (radius / np.linalg.norm(v, axis=1))[:, None] * v


PGDS = [
    PGD(steps=5, step_size=0.1, epsilon=epsilon, norm=norm, random_start=start, momentum=momentum)
    for (norm, epsilon), start, momentum in product(
        [("linf", 0.3), ("l2", 0.8)], [False, True], [0.0, 0.9]
    )
]
PGDS += [
    PGD(epsilon=0.25, step_size=0.1, steps=4, targeted=True),
    PGD(epsilon=0.6, step_size=0.2, steps=4, norm="l2", targeted=True, momentum=1.0),
    PGD(epsilon=0.25, step_size=0.1, steps=4, objective="study"),
    PGD(epsilon=0.5, step_size=0.3, steps=4, bounds=(-1.0, 2.0)),
]


@pytest.mark.parametrize("attack", PGDS, ids=str)
def test_pgd(model, batch, attack):
    x, y = batch
    starts = starts_reference(attack, ImageStreams(5, 1, IMAGES), x)
    reference = Reference(model)
    result = attack(model, x, y, generator=KeyedSource(ImageStreams(5, 1, IMAGES)))
    expected = by_image(
        x, y, lambda pixels, label, i: pgd_reference(reference, attack, starts[i], pixels, label)
    )
    torch.testing.assert_close(result, expected, **CLOSE)


@pytest.mark.parametrize(
    "attack",
    [
        GradientAscent(step_size=0.9, steps=6, bounds=(-0.5, 1.25)),
        PGD(epsilon=0.3, step_size=0.1, steps=6, random_start=True),
        PGD(epsilon=0.8, step_size=0.3, steps=6, norm="l2", random_start=True),
        PGD(epsilon=0.3, step_size=0.1, steps=6, targeted=True),
    ],
    ids=str,
)
def test_further_steps_end_where_an_attack_of_all_steps_ends(model, batch, attack):
    x, y = batch
    source = KeyedSource(ImageStreams(5, 1, IMAGES))
    whole = attack(model, x, y, generator=KeyedSource(ImageStreams(5, 1, IMAGES)))
    first = replace(attack, steps=4)(model, x, y, generator=source)
    assert not torch.equal(first, whole)
    assert torch.equal(attack.further(first, 2, 1.0)(model, x, y), whole)


def test_a_further_step_has_the_length_it_is_told_and_stays_in_the_ball(model, batch):
    x, y = batch
    attack = PGD(epsilon=0.3, step_size=0.02, steps=3)
    first = attack(model, x, y)
    second = attack.further(first, 1, 4.0)(model, x, y)
    moved, out = (second - first).abs(), (second - x).abs()
    assert float(moved.max()) == pytest.approx(0.08)
    assert float(attack.further(first, 1, 100.0)(model, x, y).sub(x).abs().max()) <= 0.3 + 1e-12
    assert float(out.max()) > 0.06  # it went on from where the first steps ended


def test_further_steps_are_refused_where_there_are_none(model, batch):
    x, y = batch
    with pytest.raises(ValueError, match="FGSM has no further steps"):
        FGSM().further(x, 1, 1.0)
    for start in (x[:2], x.float()):
        with pytest.raises(ValueError, match="need as many clean images of that type"):
            PGD().further(start, 1, 1.0)(model, x, y)
    with pytest.raises(ValueError, match="bounds"):
        PGD().further(x, 1, 1.0)(model, x + 3, y)


@pytest.mark.parametrize("targeted", [False, True])
def test_restarts_keep_a_fooling_adversary_before_a_higher_one(model, batch, targeted):
    x, y = batch
    reference = Reference(model)
    attack = PGD(0.08, step_size=0.04, steps=2, random_start=True, restarts=4, targeted=targeted)
    streams = ImageStreams(5, 1, IMAGES)
    runs = [starts_reference(attack, streams, x) for _ in range(attack.restarts)]
    chosen = []

    def best(pixels, label, i):
        points = [pgd_reference(reference, attack, starts[i], pixels, label) for starts in runs]

        def rank(point):
            hit = int(reference.logits(point).argmax()) == label
            height = reference.value(point, label, attack.objective)
            return (hit, -height) if targeted else (not hit, height)

        chosen.append(max(range(attack.restarts), key=lambda r: rank(points[r])))
        return points[chosen[-1]]

    expected = by_image(x, y, best)
    result = attack(model, x, y, generator=KeyedSource(ImageStreams(5, 1, IMAGES)))
    torch.testing.assert_close(result, expected, **CLOSE)
    assert len(set(chosen)) > 1  # not one run best for all


@pytest.mark.parametrize("starts", [(-0.4, 0.4), (0.4, -0.4), (0.4, -0.4, 0.4)])
def test_a_fooling_adversary_beats_a_higher_one_that_does_not_fool(starts):
    """The model is flat, so that every run ends where it starts: on one of two plateaus."""

    class Plateaus(torch.nn.Module):
        def forward(self, x):
            # Left half: class 0 barely loses. Right half: class 0 barely wins, but three rivals
            # are level with it, which makes its cross-entropy higher.
            left = torch.tensor([0.0, 0.1, -9.0, -9.0]) + 0 * x[:, :1]
            right = torch.tensor([0.1, 0.0, 0.0, 0.0]) + 0 * x[:, :1]
            return torch.where(x[:, :1] < 0.5, left, right)

    class Starts:
        draws = iter(starts)

        def uniform(self, shape, low, high, dtype, device):
            return torch.full(shape, next(self.draws), dtype=dtype)

        def normal(self, shape, dtype, device):
            raise AssertionError("not for L-infinity")

    x, y = torch.full((1, 2), 0.5), torch.tensor([0])
    attack = PGD(epsilon=0.4, steps=1, random_start=True, restarts=len(starts))
    result = attack(Plateaus(), x, y, generator=Starts())
    torch.testing.assert_close(result, torch.full((1, 2), 0.1))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_zero_gradient_moves_nothing(norm, momentum):
    class Flat(torch.nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :3]

    x, y = torch.rand(4, 1, 3, 3), torch.tensor([0, 1, 2, 0])
    result = PGD(epsilon=1.0, norm=norm, momentum=momentum, steps=3)(Flat(), x, y)
    assert torch.equal(result, x)


def test_l2_steps_have_their_length_even_for_gradients_whose_squares_underflow():
    class Faint(torch.nn.Module):
        def forward(self, x):
            return 1e-30 * x.flatten(1)

    x, y = torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 1])
    result = PGD(epsilon=0.3, step_size=0.1, steps=1, norm="l2")(Faint(), x, y)
    lengths = (result - x).flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((2,), 0.1))


def test_l2_random_start_fills_the_ball_evenly():
    class Flat(torch.nn.Module):
        def forward(self, x):
            return 0 * x[:, :3]

    n = 20_000
    x, y = torch.zeros(n, 3, dtype=torch.float64), torch.zeros(n, dtype=torch.int64)
    attack = PGD(epsilon=0.5, norm="l2", steps=1, random_start=True, bounds=(-1, 1))
    points = attack(Flat(), x, y, generator=torch.Generator().manual_seed(0))
    # In 3 dimensions the cube of the relative radius is uniform, and each coordinate has mean 0.
    u = (points.norm(dim=1) / 0.5).pow(3).sort().values
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    assert (u - uniform).abs().max() < 1.63 / n**0.5  # Kolmogorov-Smirnov, 1% level
    assert points.mean(0).abs().max() < 4 * 0.5 / (5 * n) ** 0.5  # variance is radius^2 / 5
