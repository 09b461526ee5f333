"""An evaluation's attacks, worst cases and checks."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import sparring
from sparring.attacks.square import Square
from sparring.commands import evaluate as evaluate_cli
from sparring.commands.cli import main
from sparring.data.arrays import ArrayImages
from sparring.robustness import peers, sanity
from sparring.robustness.evaluate import Evaluation
from sparring.robustness.measure import Extent, Found, Subject
from sparring.robustness.results import wilson
from sparring.robustness.scale import Scale
from sparring.robustness.suite import linf, suite


class Threshold(nn.Module):
    """Class 1 if the mean pixel is above ``at``: an image of mean m falls within |m - at|."""

    def __init__(self, at=0.5):
        super().__init__()
        self.at = nn.Parameter(torch.tensor(at))

    def forward(self, x):
        lead = x.flatten(1).mean(1) - self.at
        return torch.stack([-lead, lead], 1)


class Masked(Threshold):
    """The same classes, but a gradient only for images that are in the wrong already."""

    def forward(self, x):
        return super().forward(x).sign() * 10 + 0 * x.flatten(1).sum(1, keepdim=True)


def subject(model, levels, count=None):
    """Grey images of these levels, labelled by which side of 0.5 they are on."""
    levels = np.asarray(levels, np.float32)
    images = np.broadcast_to(levels[:, None, None, None], (len(levels), 1, 6, 6)).copy()
    data = ArrayImages(images, (levels > 0.5).astype(np.int64))
    return Subject(model, data, count or len(levels), backend="torch")


def evaluation(model, levels, epsilon=0.3):
    return Evaluation(subject(model, levels), Scale(backend="torch"), epsilon)


LEVELS = [0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.75, 0.85, 0.9, 0.95]


def test_accuracies_are_those_that_the_geometry_allows():
    found = evaluation(Threshold(), LEVELS)
    assert found.clean() == 1.0
    for entry in suite(0.3, restarts=2)[:3]:
        right = found.attack(entry).right
        assert right.tolist() == [abs(level - 0.5) > 0.3 for level in LEVELS]
    found.worst_cases()
    rows = {row.name: row for row in found.rows}
    assert rows["worst_case_linf"].value == rows["pgd_40"].value == 0.6
    assert rows["pgd_40"].distance_linf == pytest.approx(0.3, abs=1e-6)
    assert not found.outside


def test_an_image_that_is_wrong_without_attack_is_wrong_under_each():
    model = Threshold(at=0.2)  # calls everything above 0.2 class 1
    found = evaluation(model, [0.05, 0.3, 0.95])
    assert found.clean() == pytest.approx(2 / 3)
    assert not found.attack(linf("none", 1e-6, 1e-6, 1)).right[1]


def test_worst_cases_keep_threat_models_apart():
    found = evaluation(Threshold(), LEVELS)
    found.clean()
    found.attack(linf("pgd", 0.3, 0.01, 40))
    found.masks["pgd_l2"], found.threats["pgd_l2"] = np.zeros(10, bool), "l2"
    found.worst_cases()
    rows = {row.name: row for row in found.rows}
    assert rows["worst_case_linf"].value == 0.6
    assert rows["worst_case_all"].value == 0.0


def test_random_numbers_of_an_image_do_not_depend_on_the_others():
    attack = sparring.PGD(0.2, 0.05, 1, random_start=True, backend="torch")
    few = subject(Threshold(), LEVELS, 3).attacked(attack, restarts=2)
    many = subject(Threshold(), LEVELS).attacked(attack, restarts=2)
    assert few.right.tolist() == many.right[:3].tolist()


@pytest.mark.parametrize("normalized", [False, True])
def test_the_studys_metric_is_the_same_path_in_either_unit(normalized):
    """One network on pixels and on normalised pixels: the ascent visits the same images."""
    torch.manual_seed(2)
    body = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 4))
    pixels = torch.rand((5, 1, 6, 6))
    y = torch.arange(5) % 4
    on_pixels = nn.Sequential(sparring.networks.Normalize(0.1307, 0.3081), body)
    expected = Scale(False, "torch").study(6)(on_pixels, pixels, y)
    found = Scale(True, "torch").study(6)(body, (pixels - 0.1307) / 0.3081, y)
    assert (expected - pixels).abs().max() > 1e-3
    torch.testing.assert_close(found * 0.3081 + 0.1307, expected, rtol=1e-4, atol=1e-5)


def test_all_checks_pass_for_a_sound_evaluation():
    found = evaluation(Threshold(), LEVELS)
    found.clean()
    for entry in suite(0.3, restarts=2):
        found.attack(entry)
    sanity.checks(found, Threshold(0.5), images=10)
    rows = {row.name: row for row in found.rows if row.kind == "check"}
    # This network is as robust undefended: that check must say so, and no other.
    assert rows.pop("undefended_falls").status == "failed"
    foolbox = rows.pop("agrees_with_foolbox")
    there = importlib.util.find_spec("foolbox") is not None
    assert foolbox.status == ("passed" if there else "skipped"), foolbox
    assert {row.status for row in rows.values()} == {"passed"}, rows
    assert rows["falls_with_epsilon"].message.startswith("0: 1.000, 0.1: 0.9")


def test_masked_gradients_are_found_out():
    found = evaluation(Masked(), LEVELS)
    found.clean()
    found.attack(linf("pgd_40", 0.3, 0.01, 40))
    sanity.checks(found, None, images=10)
    rows = {row.name: row.status for row in found.rows if row.kind == "check"}
    assert rows["gradients_do_not_vanish"] == "failed"
    assert rows["nothing_at_large_epsilon"] == "failed"


def test_a_black_box_that_beats_gradients_is_told():
    found = evaluation(Threshold(), LEVELS)
    found.clean()
    found.masks["pgd_40"], found.threats["pgd_40"] = np.ones(10, bool), "linf"  # a weak attack
    sanity.checks(found, None, images=10)
    row = next(row for row in found.rows if row.name == "black_box_is_weaker")
    assert row.status == "failed"
    assert row.message == "4 images fall to Square alone"


def test_an_attack_that_leaves_its_ball_is_told():
    found = evaluation(Threshold(), LEVELS)
    found.clean()
    right = np.ones(10, bool)
    found.constrain("far", "linf", 0.3, Found(right, 0, Extent(0.31, 1, 0, 1), "torch"))
    found.constrain("dark", "linf", 0.3, Found(right, 0, Extent(0.3, 1, -0.01, 1), "torch"))
    found.constrain("good", "linf", 0.3, Found(right, 0, Extent(0.3, 1, 0, 1), "torch"))
    sanity.checks(found, None, images=10)
    row = next(row for row in found.rows if row.name == "adversaries_stay_inside")
    assert row.status == "failed"
    assert "far" in row.message
    assert "dark" in row.message
    assert "good" not in row.message


def test_square_stays_inside_and_needs_no_gradient():
    model = Threshold()
    data = subject(model, LEVELS)
    found = data.attacked(Square(0.3, 300, backend="torch"))
    assert found.right.tolist() == [abs(level - 0.5) > 0.3 for level in LEVELS]
    assert found.extent.linf <= 0.3 + 1e-6
    assert 0 <= found.extent.low <= found.extent.high <= 1
    x = data.x.clone()
    with torch.no_grad():
        first = Square(0.1, 20, backend="torch")(
            model, data.x, data.y, generator=torch.Generator().manual_seed(1)
        )
    assert (data.x == x).all()
    again = Square(0.1, 20, backend="torch")(
        model, data.x, data.y, generator=torch.Generator().manual_seed(1)
    )
    assert (first == again).all()


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("pyautoattack", lambda s: peers.autoattack(s, 0.3, 4, 0, print)),
        ("foolbox", lambda s: peers.foolbox_pgd(s, 0.3, 0.01, 2, 4, 0)),
    ],
)
def test_an_absent_library_is_told_in_a_sentence(name, run, monkeypatch):
    def absent(package):
        raise peers.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(peers.importlib.metadata, "version", absent)
    told = run(subject(Threshold(), LEVELS))
    assert "not installed" in told
    assert "make peers" in told


def test_wilsons_interval():
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0


def checkpointed(folder):
    """A trained network's checkpoint: the study's, after a moment of training."""
    path = folder / "run.pt"
    model = sparring.networks.build("study", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = sparring.Trainer(
        model, optimizer, sparring.data.load("mnist-5k"), sparring.FGSM(0.0), batch_size=4
    )
    trainer.fit(updates=1, checkpoint=path)
    return path


def test_the_command_adds_rows_and_overwrites_nothing(tmp_path):
    path = checkpointed(tmp_path)
    arguments = ["evaluate", str(path), "--images", "4", "--restarts", "1", "--check-images", "2",
                 "--no-autoattack", "--no-undefended", "--backend", "torch",
                 "--results", str(tmp_path), "--json"]  # fmt: skip
    first = CliRunner().invoke(main, [*arguments, str(tmp_path / "one.json")])
    assert first.exit_code in (0, 1), first.output
    second = CliRunner().invoke(main, arguments)  # the document alone on stdout
    assert json.loads(second.stdout)[0]["name"] == "clean"
    assert "rows added to" in second.stderr
    with (tmp_path / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["run"] for row in rows}) == 2
    names = [row["name"] for row in rows if row["run"] == rows[0]["run"]]
    assert names[:6] == ["clean", "pgd_40", "pgd_100x1", "margin_100x1", "pgd_l2", "study"]
    assert {row["network"] for row in rows} == {"study"}
    assert json.loads((tmp_path / "one.json").read_text())[0]["name"] == "clean"
    again = CliRunner().invoke(main, [*arguments, str(tmp_path / "one.json")])
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_the_gallerys_table_is_written_once(tmp_path):
    path, out = checkpointed(tmp_path), tmp_path / "gallery.csv"
    arguments = ["gallery", str(path), "--before", str(path), "--images", "2", "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    csv.field_size_limit(sys.maxsize)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["training"] for row in rows] == ["before", "before", "after", "after"]
    clean, adversary = (np.array(rows[0][f"{name}_pixels"].split(), float) / 1000
                        for name in ("clean", "adversary"))  # fmt: skip
    assert clean.size == 784
    assert 0.29 < abs(adversary - clean).max() < 0.302
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize("command", ["evaluate", "gallery", "attack"])
def test_a_file_that_holds_no_network_ends_in_one_sentence(command, tmp_path):
    other, diverged, fine = (tmp_path / name for name in ("notes.csv", "nan.pt", "run.pt"))
    other.write_text("a,b\n1,2\n")
    checkpointed(tmp_path)
    content = torch.load(fine, weights_only=True)
    content["model"]["conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(content, diverged)
    option = ["--checkpoint"] if command == "attack" else []
    for path, told in (
        (other, "notes.csv: damaged, or no checkpoint of Sparring ("),
        (diverged, "nan.pt: 'conv1.weight' holds numbers that are not finite"),
    ):
        result = CliRunner().invoke(main, [command, *option, str(path)])
        assert result.exit_code == 2
        assert told in result.output
        assert "Traceback" not in result.output


def test_the_json_of_an_evaluation_is_json():
    rows = [{"name": "square", "distance_l2": float("nan"), "seconds": 0.5, "epsilon": None}]
    wanted = [{"name": "square", "distance_l2": None, "seconds": 0.5, "epsilon": None}]
    assert json.loads(evaluate_cli._json(rows), parse_constant=pytest.fail) == wanted
