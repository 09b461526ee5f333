"""Outputs are seen to before work begins, and what was computed is kept when writing fails."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import sparring
from sparring.checkpoint import load
from sparring.commands.cli import main
from sparring.errors import SparringError
from sparring.outputs import check_outputs, replace, write, write_all
from sparring.tables import Table
from tests.sparring.trainer.training import small_trainer


@pytest.fixture
def full_disk(monkeypatch, tmp_path):
    """A folder that takes no more, once ``full()`` was called; temporary files go elsewhere."""
    folder, elsewhere = tmp_path / "full", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    fsync = os.fsync

    def refuse(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    return folder, lambda: monkeypatch.setattr(os, "fsync", refuse)


def kept(sentence: str) -> Path:
    return Path(re.search(r"it is kept as ([^\s;]+)", sentence).group(1))


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ({"--a": "x", "--b": "sub/../x"}, "x: named by both --a and --b; expected a file for each"),
        ({"--a": "there"}, "there: exists already; name another file"),
        ({"--a": "sub"}, "sub: is a folder; expected the name of a file"),
        ({"--a": "nowhere/x"}, "x: cannot be written: there is no folder .*nowhere"),
        ({"--a": "there/x"}, "x: cannot be written"),
        ({"--a": "x" * 260}, "cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_before_work(tmp_path, outputs, sentence):
    (tmp_path / "sub").mkdir()
    (tmp_path / "there").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SparringError, match=sentence):
        check_outputs({name: tmp_path / path for name, path in outputs.items()})
    assert sorted(tmp_path.rglob("*")) == before


def test_what_can_be_written_passes_and_leaves_nothing_behind(tmp_path, full_disk):
    check_outputs({"--a": tmp_path / "x", "--b": None, "--c": tmp_path / "y"})
    check_outputs({"--a": tmp_path / "new" / "x"}, make_folders=True)
    (tmp_path / "x").write_text("old")
    check_outputs({"--a": tmp_path / "x"}, existing=("--a",))
    assert (tmp_path / "x").read_text() == "old"
    folder, full = full_disk
    full()
    with pytest.raises(SparringError, match="x: cannot be written: No space left on device"):
        check_outputs({"--a": folder / "x"})
    assert not list(folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_keeps_the_new_one(full_disk):
    folder, full = full_disk
    replace(folder / "x", "old")
    full()
    with pytest.raises(SparringError, match=r"x: cannot be written: No space left") as error:
        write(folder / "x", "new", existing=True)
    assert (folder / "x").read_text() == "old"
    assert [file.name for file in folder.iterdir()] == ["x"]
    assert kept(str(error.value)).read_text() == "new"


def test_a_file_that_came_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "x").write_text("another's")
    with pytest.raises(SparringError, match="another file is there by now") as error:
        write(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "another's"
    assert kept(str(error.value)).read_text() == "new"


def test_one_failure_does_not_cost_the_other_files():
    done = []

    def fail():
        raise SparringError("no room")

    with pytest.raises(SparringError, match=r"^no room; no room$"):
        write_all(fail, lambda: done.append(1), fail, lambda: done.append(2))
    assert done == [1, 2]


def test_a_tables_rows_are_kept_when_the_disk_is_full(full_disk):
    folder, full = full_disk
    table = Table(folder / "t.csv", ("a", "b"))
    table.append([{"a": 1, "b": 2}])
    full()
    with pytest.raises(SparringError, match=r"t\.csv: cannot be written: No space") as error:
        table.append([{"a": 3, "b": 4}])
    assert (folder / "t.csv").read_text() == "a,b\n1,2\n"
    assert kept(str(error.value)).read_text() == "a,b\n3,4\n"


def test_a_tables_rows_are_kept_when_it_was_changed_meanwhile(full_disk):
    folder, _ = full_disk
    table = Table(folder / "t.csv", ("a", "b"))
    (folder / "t.csv").write_text("another\n")
    with pytest.raises(SparringError, match=r"lacks the column 'a'") as error:
        table.append([{"a": 3, "b": 4}])
    assert kept(str(error.value)).read_text() == "a,b\n3,4\n"


def test_a_disk_that_fills_up_costs_no_training(full_disk, caplog):
    """The last checkpoint stays, training goes on, and its end is kept elsewhere."""
    folder, full = full_disk
    state, trainer = folder / "state.pt", small_trainer()
    with pytest.raises(SparringError, match="rank 0 could not write what it trained") as error:
        trainer.fit(
            updates=5, checkpoint=state, checkpoint_interval=2, timeline=folder / "trace.json",
            on_update=lambda record: full() if record.update == 2 else None,
        )  # fmt: skip
    assert load(state).updates == 2
    assert "state.pt: the state after update 4 cannot be written: No space" in caplog.text
    assert load(kept(str(error.value))).updates == trainer.updates == 5
    assert len(re.findall(r"it is kept as \S+", str(error.value))) == 2
    weights = load(kept(str(error.value))).model["1.weight"]
    assert torch.equal(weights, trainer.model[1].weight)


@pytest.mark.parametrize(
    "names",
    [("checkpoint", "timeline"), ("checkpoint", "arrivals"), ("timeline", "arrivals")],
)
def test_train_refuses_one_file_for_two_outputs(tmp_path, names):
    one, other = names
    path = str(tmp_path / "f")
    result = CliRunner().invoke(main, ["train", "--updates", "1", f"--{one}", path,
                                       f"--{other}", path])  # fmt: skip
    assert result.exit_code == 2
    assert result.output == (
        f"error: {path}: named by both {one} and {other}; expected a file for each\n"
    )
    assert not list(tmp_path.iterdir())


def test_train_overwrites_no_file_with_its_timeline(tmp_path):
    path = tmp_path / "run.pt"
    path.write_text("a checkpoint of hours")
    with pytest.raises(SparringError, match=r"run\.pt: exists already; name another file"):
        small_trainer().fit(updates=1, timeline=path)
    assert path.read_text() == "a checkpoint of hours"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["evaluate", "{state}", "--results", "{tmp}", "--json", "{tmp}/missing/x.json"],
         "x.json: cannot be written: there is no folder {tmp}/missing"),
        (["evaluate", "{state}", "--results", "{tmp}", "--json", "{tmp}/evaluation.csv"],
         "evaluation.csv: named by both --results and --json; expected a file for each"),
        (["evaluate", "{state}", "--results", "/proc"], "/proc/evaluation.csv: cannot be written"),
        (["gallery", "{state}", "--out", "/proc/gallery.csv"],
         "/proc/gallery.csv: cannot be written"),
        (["gallery", "{state}", "--out", "{state}"], "state.pt: exists already; name another file"),
    ],
)  # fmt: skip
def test_outputs_are_seen_to_before_anything_is_computed(tmp_path, monkeypatch, command, sentence):
    model = sparring.networks.build("study", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = sparring.data.load("mnist-5k")
    state = tmp_path / "state.pt"
    trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), batch_size=8)
    trainer.fit(updates=0, checkpoint=state)
    monkeypatch.setattr("sparring.commands.evaluate._twin", lambda _: pytest.fail("began to work"))
    named = [part.format(state=state, tmp=tmp_path) for part in command]
    result = CliRunner().invoke(main, named)
    assert result.exit_code == 2, result.output
    assert sentence.format(tmp=tmp_path) in result.output
    assert result.output.count("\n") == 1
