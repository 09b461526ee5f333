"""Recipes, and schedules in training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import recipe_ranks
import torch
from click.testing import CliRunner
from torch import nn

import sparring
from sparring import checkpoint, recipes
from sparring.attacks.base import Attack
from sparring.attacks.clean import Clean
from sparring.commands.cli import main
from sparring.errors import SparringError
from sparring.schedules import Schedule, linear_decay
from sparring.strategies.replay import Replay
from sparring.strategies.telemetry import BatchRecord
from tests.mpi import run_ranks
from tests.sparring.trainer.training import weights_of


def small_model():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def small_data(count=40):
    generator = torch.Generator().manual_seed(5)
    return torch.rand((count, 1, 4, 4), generator=generator), torch.arange(count) % 3


@dataclasses.dataclass(frozen=True)
class Spy(sparring.PGD):
    """PGD that notes the epsilon and the step it was called with."""

    seen: list = dataclasses.field(default_factory=list, compare=False)

    def __call__(self, *arguments, **keywords):
        self.seen.append((self.epsilon, self.step_size))
        return super().__call__(*arguments, **keywords)


def build(attack=None, strategy="sequential", **options):
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    return sparring.Trainer(
        model, optimizer, small_data(), attack or sparring.PGD(0.2, 0.1, 2, random_start=True),
        strategy, batch_size=16, **options,
    )  # fmt: skip


def test_the_defaults_are_those_of_the_papers():
    madry, wong = recipes.pgd(100_000), recipes.fast(6_000)
    assert (madry.attack.epsilon, madry.attack.step_size, madry.attack.steps) == (0.3, 0.01, 40)
    assert madry.attack.random_start
    assert wong.attack.random_start
    assert (madry.rate, madry.batch_size, madry.optimizer) == (1e-4, 50, "adam")
    assert (wong.attack.steps, wong.attack.step_size) == (1, pytest.approx(0.375))
    assert (wong.rate, wong.batch_size) == (5e-3, 100)
    assert wong.learning_rate(2_399) == 1.0
    assert recipes.fast(10, epsilon=0.2).attack.step_size == pytest.approx(0.25)


def test_epsilon_and_step_follow_the_minibatch_and_the_rate_the_update():
    attack = Spy(0.2, 0.1, 2)
    trainer = build(
        attack,
        learning_rate=Schedule(((0, 1.0), (4, 0.0))),
        epsilon=Schedule(((0, 0.25), (3, 1.0))),
    )
    rates = []
    trainer.fit(
        updates=5,
        on_update=lambda _: rates.append(trainer.optimizer.param_groups[0]["lr"]),
    )
    assert [epsilon for epsilon, _ in attack.seen] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.2])
    assert [step for _, step in attack.seen] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert rates == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])


def test_without_schedules_nothing_changes():
    plain, scheduled = build(), build(learning_rate=Schedule(), epsilon=Schedule())
    plain.fit(updates=6)
    scheduled.fit(updates=6)
    assert (weights_of(plain) == weights_of(scheduled)).all()


def test_a_resumed_run_goes_on_in_its_schedules(tmp_path):
    options = {"learning_rate": linear_decay(8, flat=0.2), "epsilon": Schedule(((0, 0.1), (6, 1)))}
    whole = build(**options)
    whole.fit(updates=8)
    path = tmp_path / "run.pt"
    build(**options).fit(updates=3, checkpoint=path)
    resumed = build(**options)
    resumed.fit(updates=8, checkpoint=path, resume=True)
    assert (weights_of(resumed) == weights_of(whole)).all()
    for other in ({}, {**options, "epsilon": Schedule()}):
        with pytest.raises(SparringError, match=r"was made with (epsilon|learning_rate) ="):
            build(**other).fit(updates=9, checkpoint=path, resume=True)


def test_a_replay_sees_the_same_schedules_as_sequential_training():
    options = {"learning_rate": linear_decay(6), "epsilon": Schedule(((0, 0.1), (4, 1)))}
    records = [BatchRecord(n, n, 1, ((0, n),), None, 0.0) for n in range(6)]
    one, other = build(**options), build(strategy=Replay(records), **options)
    one.fit(updates=6)
    other.fit(updates=6)
    assert (weights_of(one) == weights_of(other)).all()


def test_an_attack_without_epsilon_cannot_be_scheduled():
    with pytest.raises(SparringError, match="without epsilon"):
        build(sparring.GradientAscent(steps=1), epsilon=Schedule())


def test_clean_training_gives_the_images_and_looks_for_weights_once():
    x, y = small_data(4)
    looks = []
    found = Clean()(small_model(), x, y, on_step=looks.append)
    assert (found == x).all()
    assert found is not x
    assert looks == [0]
    assert isinstance(recipes.clean(10).attack, Attack)


def test_every_recipe_works_with_every_strategy():
    """Strategies of staleness 0 give sequential training's weights; the pipeline all its updates.

    Random starts, the two schedules and Adam's state are the same for all of them.
    """
    output = run_ranks(2, [str(Path(recipe_ranks.__file__))])
    told = json.loads(output.split("RESULT", 1)[1].splitlines()[0])
    for name in recipes.RECIPES:
        expected, updates = recipe_ranks.train(name, "sequential")
        assert updates == recipe_ranks.UPDATES
        for strategy in ("sharded", "data_parallel"):
            found, updates = told[f"{name} {strategy}"]
            assert updates == recipe_ranks.UPDATES
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
        found, updates = told[f"{name} pipeline"]
        assert updates == recipe_ranks.UPDATES
        assert np.isfinite(found).all()
        assert not np.allclose(found, told["clean data_parallel"][0]) or name == "clean"


def test_a_checkpoint_tells_what_was_trained(tmp_path):
    path = tmp_path / "run.pt"
    build().fit(updates=1, checkpoint=path)
    about = checkpoint.load(path).about
    assert about["network"] == "Sequential"
    assert about["attack"].startswith("PGD(epsilon=0.2")


def test_checkpoints_of_format_1_are_still_read(tmp_path):
    path = tmp_path / "old.pt"
    build().fit(updates=2, checkpoint=path)
    content = torch.load(path, weights_only=True)
    content.pop("about")
    torch.save({**content, "format": 1}, path)
    resumed = build()
    resumed.fit(updates=3, checkpoint=path, resume=True)
    assert resumed.updates == 3


def run(*arguments):
    return CliRunner().invoke(main, ["train", "--updates", "2", "--evaluate", "0", *arguments])


def test_the_command_line_trains_by_recipe():
    result = run("--recipe", "fast", "--batch-size", "8", "--backend", "torch")
    assert result.exit_code == 0, result.output
    assert "2 updates" in result.output


@pytest.mark.parametrize(
    "wrong",
    [("--recipe", "fast", "--steps", "3"), ("--recipe", "clean", "--epsilon", "0.1"),
     ("--recipe", "pgd", "--attack", "fgsm"), ("--recipe", "pgd", "--momentum", "0.9")],
)  # fmt: skip
def test_options_that_a_recipe_decides_are_refused(wrong):
    result = run(*wrong)
    assert result.exit_code == 2
    assert f"{wrong[2]} has no meaning with --recipe" in result.output


def test_a_recipe_takes_another_optimizer_with_a_rate_of_its_own(tmp_path):
    refused = run("--recipe", "pgd", "--optimizer", "sgd")
    assert refused.exit_code == 2
    assert "--optimizer sgd with --recipe pgd needs --learning-rate" in refused.output
    state = tmp_path / "run.pt"
    settings = ("--recipe", "fast", "--batch-size", "8", "--checkpoint", str(state))
    sgd = ("--optimizer", "sgd", "--learning-rate", "0.02", "--momentum", "0.9")
    result = run(*settings, *sgd)
    assert result.exit_code == 0, result.output
    (group,) = checkpoint.load(state).optimizer["param_groups"]
    assert group["momentum"] == 0.9
    assert group["lr"] == pytest.approx(0.02 * recipes.fast(2).learning_rate(1))
