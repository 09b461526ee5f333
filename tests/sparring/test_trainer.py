"""The library's face, on one process and on real MPI ranks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import sparring
from harness.launch.launcher import find_launcher
from harness.launch.process import MARK, run
from sparring.checkpoint import load, save
from sparring.commands.cli import main
from sparring.errors import SparringError
from sparring.strategies import Pipeline
from sparring.strategies.replay import Replay, load_arrivals
from sparring.strategies.telemetry import BatchRecord
from tests import forked

PROGRAM = str(Path(__file__).with_name("trainer_ranks.py"))
ROOT = Path(__file__).parents[2]


def launch(processes, job, folder, limit_seconds=90):
    """Run a job of trainer_ranks; exit code and output, with nothing of it left running."""
    launcher, log = find_launcher(), folder / "log"
    mark = f"trainer-{folder.name}"
    # A rank that shall be killed is a process of its own, as users' are.
    command = [sys.executable] if job.get("deed") == "kill" else forked.rank_command()
    outcome = run(
        launcher.command(processes, 1, [*command, PROGRAM, json.dumps(job)]),
        launcher.variables(processes, 1),
        mark=mark,
        log=log,
        limit_seconds=limit_seconds,
    )
    left = [p for p in psutil.process_iter() if _environment(p).get(MARK) == mark]
    assert not left
    assert not outcome.timed_out
    return outcome.exit_code, log.read_text(encoding="utf-8")


def _environment(process):
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def weights_after(processes, job, folder, name="weights.npy"):
    path = folder / name
    code, output = launch(processes, {**job, "weights": str(path)}, folder)
    assert code == 0, output
    return np.load(path)


@pytest.mark.parametrize("command", [[], ["-n", "2"]])
def test_the_readmes_script_runs_unchanged(command, tmp_path):
    script = ROOT / "examples" / "train.py"
    assert len(script.read_text().splitlines()) <= 25
    assert script.read_text() in (ROOT / "README.md").read_text()
    launcher = find_launcher()
    prefix = [launcher.path, *command] if command else []
    result = subprocess.run(
        [*prefix, sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert f"{2 if command else 1} processes" in result.stdout
    assert float(result.stdout.split("robust accuracy")[1]) > 0.5  # chance is 0.1


@pytest.mark.parametrize(
    ("strategy", "processes"), [("sequential", 1), ("data_parallel", 2), ("sharded", 2)]
)
def test_a_resumed_run_ends_at_the_weights_of_an_uninterrupted_one(strategy, processes, tmp_path):
    whole = weights_after(processes, {"strategy": strategy, "fit": {"updates": 8}}, tmp_path)
    state = str(tmp_path / "state.pt")
    half = {"strategy": strategy, "fit": {"updates": 5, "checkpoint": state}}
    assert launch(processes, half, tmp_path)[0] == 0
    rest = {"strategy": strategy, "fit": {"updates": 8, "checkpoint": state, "resume": True}}
    resumed = weights_after(processes, rest, tmp_path, "resumed.npy")
    assert (resumed == whole).all()
    assert load(Path(state)).updates == 8


def same_trainer(strategy, dtype=torch.float32, images=0):
    """What trainer_ranks trains, on one process."""
    model = sparring.networks.build("study", 0, dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    data = sparring.data.load("mnist-5k", normalize=True)
    if images:
        data = tuple(get(slice(images)) for get in (data.train.images, data.train.labels))
    attack = sparring.GradientAscent(steps=2)
    return sparring.Trainer(model, optimizer, data, attack, strategy, batch_size=16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"assignment": "dynamic", "trainer_generates": True, "weights": "window"},
        {"refresh_steps": 1, "refresh_scale": 0.5},
        {"refresh_steps": 1, "trainers": 3},
        {"study_partial_batches": True, "trainers": 2},
    ],
    ids=["study", "generating_trainer", "refreshed", "trainers", "defect"],
)
def test_a_replay_trains_the_same_weights_bit_for_bit(options, tmp_path):
    arrivals = tmp_path / "arrivals.jsonl"
    images = 40 if "study_partial_batches" in options else 0  # batches of 16, 16 and 8
    job = {"strategy": "pipeline", "options": options, "images": images, "fit": {"updates": 12}}
    processes = options.get("trainers", 1) + 2
    trained = weights_after(processes, {**job, "arrivals": str(arrivals)}, tmp_path)
    records = load_arrivals(arrivals)
    assert max(record.staleness for record in records) > 0
    known = {"refresh_steps", "refresh_scale", "trainers", "study_partial_batches"}
    same = {name: value for name, value in options.items() if name in known}
    replay = Replay(records, **same)
    trainer = same_trainer(replay, images=images)
    history = trainer.fit(updates=12)
    weights = np.empty(trainer.compute.weight_count, np.float32)
    trainer.compute.read_weights(weights)
    assert (weights == trained).all()
    assert [record.loss for record in history.records] == [record.loss for record in records]


def test_trainers_together_train_what_one_trains(tmp_path):
    """From the same arrival log, in float64, where only the order of sums is another."""
    arrivals = tmp_path / "arrivals.jsonl"
    options = {"trainers": 2, "refresh_steps": 1, "messages": "packed", "receive": "completion"}
    job = {"strategy": "pipeline", "dtype": "float64", "options": options, "fit": {"updates": 10}}
    trained = weights_after(4, {**job, "arrivals": str(arrivals)}, tmp_path)
    records = load_arrivals(arrivals)
    assert {record.generator for record in records} == {2, 3}
    trainer = same_trainer(Replay(records, refresh_steps=1), torch.float64)
    before = np.empty(trainer.compute.weight_count)
    trainer.compute.read_weights(before)
    trainer.fit(updates=10)
    alone = np.empty_like(before)
    trainer.compute.read_weights(alone)
    assert np.abs(trained - alone).max() < 1e-12
    assert np.abs(alone - before).max() > 1e-3


@pytest.mark.parametrize("deed", ["raise", "kill", "hang"])
def test_a_trainer_that_fails_ends_the_run_and_is_named(deed, tmp_path):
    job = {
        "strategy": "pipeline", "options": {"trainers": 2}, "deed": deed, "sinner": 1,
        "after_update": 2, "fit": {"updates": 40, "patience_seconds": 1.5},
    }  # fmt: skip
    code, output = launch(4, job, tmp_path)
    assert code != 0
    if deed == "hang":
        assert "no sign for 1.5 s of the other trainers" in output
        assert "for update 3" in output
    else:
        verb = "failed" if deed == "raise" else "was killed"
        assert f"sparring: rank 1 {verb} in " in output
        assert "as trainer" in output


@pytest.mark.parametrize("trainer_share", [0.0, 1.0])
def test_a_refreshed_overlap_trains_what_its_replay_trains(trainer_share, tmp_path):
    """Shares round otherwise than whole minibatches: nearly the same weights, and ages alike."""
    options = {"overlap": True, "trainer_share": trainer_share, "refresh_steps": 2}
    arrivals = tmp_path / "arrivals.jsonl"
    job = {"strategy": "sharded", "options": options, "fit": {"updates": 9}}
    trained = weights_after(3, {**job, "arrivals": str(arrivals)}, tmp_path)
    found = {}
    for steps in (0, 2):
        trainer = same_trainer(Replay(load_arrivals(arrivals), refresh_steps=steps))
        trainer.fit(updates=9)
        found[steps] = np.empty(trainer.compute.weight_count, np.float32)
        trainer.compute.read_weights(found[steps])
    moved = np.abs(found[2] - found[0]).max()
    assert np.abs(found[2] - trained).max() < 1e-3 * moved
    assert moved > 0


def test_the_command_line_replays_a_refreshed_run_and_tells_of_a_wrong_one(tmp_path, caplog):
    arrivals = str(tmp_path / "arrivals.jsonl")
    same = ["train", "--updates", "4", "--batch-size", "8", "--steps", "2", "--evaluate", "0",
            "--backend", "torch"]  # fmt: skip
    refresh = ["--option", "refresh_steps=1", "--option", "refresh_scale=2.0"]
    overlapped = ["--strategy", "sharded", "--option", "overlap=true"]
    runs = [
        [*same, *overlapped, *refresh, "--arrivals", arrivals],
        [*same, "--replay", arrivals, *refresh],
    ]
    told = [CliRunner().invoke(main, arguments) for arguments in runs]
    assert [result.exit_code for result in told] == [0, 0], told
    losses = [result.output.partition("loss ")[2].partition(";")[0] for result in told]
    assert losses[0] == losses[1] != ""
    assert not caplog.records
    CliRunner().invoke(main, [*same, "--replay", arrivals])
    assert "was that run another one, or refreshed?" in caplog.text


@pytest.mark.parametrize("strategy", ["data_parallel", "pipeline", "sharded"])
@pytest.mark.parametrize("sinner", [0, 1])
def test_a_rank_that_raises_ends_the_run_and_says_who_where_and_why(strategy, sinner, tmp_path):
    if strategy == "pipeline" and sinner == 0:
        strategy_options = {"assignment": "dynamic", "trainer_generates": True}
    else:
        strategy_options = {}
    state = tmp_path / "state.pt"
    job = {
        "strategy": strategy, "options": strategy_options, "deed": "raise", "sinner": sinner,
        "at": 1 if strategy_options else 3,
        "fit": {"updates": 40, "checkpoint": str(state), "checkpoint_interval": 1},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert f"sparring: rank {sinner} failed in generate of batch " in output
    assert "RuntimeError: the sky fell" in output
    if state.exists():
        assert load(state).updates >= 1


def test_a_killed_rank_ends_the_run_and_leaves_the_last_checkpoint(tmp_path):
    state = tmp_path / "state.pt"
    job = {
        "strategy": "pipeline", "deed": "kill", "sinner": 1,
        "fit": {"updates": 40, "checkpoint": str(state), "checkpoint_interval": 1},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert "sparring: rank 1 was killed in generate of batch 2 as generator" in output
    assert 1 <= load(state).updates <= 2


@pytest.mark.parametrize("strategy", ["data_parallel", "pipeline", "sharded"])
def test_a_rank_that_hangs_is_given_up_and_named(strategy, tmp_path):
    job = {
        "strategy": strategy, "deed": "hang", "sinner": 1,
        "fit": {"updates": 40, "patience_seconds": 1.0},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert "sparring: rank 0 failed in wait of " in output
    missed = output.split("no sign for 1 s of")[1]
    assert "rank 1 is furthest behind, after its batch 1" in missed or "other ranks" in missed
    assert "batch" in missed


def test_a_diverged_loss_stops_with_a_sentence():
    model = sparring.networks.build("study", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    data = sparring.data.load("mnist-5k")
    trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(), batch_size=16)
    with pytest.raises(
        SparringError, match=r"training diverged: the loss of update \d \(batch \d\)"
    ):
        trainer.fit(updates=10)


class LastStep(torch.optim.SGD):
    """An optimizer whose second step leaves weights that are none."""

    def __init__(self, parameters, value):
        super().__init__(parameters, lr=0.01)
        self.value, self.steps = value, 0

    def step(self):
        super().step()
        self.steps += 1
        if self.steps == 2:
            for parameter in self.param_groups[0]["params"]:
                parameter.data.fill_(self.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.nan, "training diverged: after 2 updates, the weights are not finite"),
        (1e28, "training diverged: after 2 updates, the loss of the first 16 training images is"),
    ],
)
@pytest.mark.parametrize("interval", [1, 100])
def test_divergence_in_the_last_update_keeps_no_state(value, sentence, interval, tmp_path):
    """The last update's loss was of the weights before it."""
    state, model = tmp_path / "state.pt", sparring.networks.build("study", 0)
    optimizer = LastStep(model.parameters(), value)
    data = sparring.data.load("mnist-5k")
    trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(), batch_size=16)
    with pytest.raises(SparringError, match=sentence):
        trainer.fit(updates=2, checkpoint=state, checkpoint_interval=interval)
    assert not state.exists() if interval == 100 else load(state).updates == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--learning-rate", "1e30"], "error: training diverged: after 1 updates, the loss"),
        (["--momentum", "nan"], "'--momentum': 'nan' is not a finite number"),
        (["--learning-rate", "inf"], "'--learning-rate': 'inf' is not a finite number"),
        (["--seed", str(2**64)], "'--seed': 18446744073709551616 is not in the range"),
    ],
)
def test_the_command_line_keeps_no_diverged_network(options, sentence, tmp_path):
    state = tmp_path / "state.pt"
    same = ["train", "--updates", "1", "--steps", "1", "--checkpoint", str(state)]
    result = CliRunner().invoke(main, [*same, *options])
    assert result.exit_code == 2
    assert sentence in result.output
    assert not state.exists()


def test_the_command_line_tells_how_many_images_there_were():
    result = CliRunner().invoke(
        main, ["train", "--updates", "1", "--attack", "fgsm", "--evaluate", "5000000"]
    )
    assert "(first 1000 test images, " in result.output


def small_trainer(data=None, model=None, **keywords):
    model = model or nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = data or sparring.data.load("mnist-5k")
    return sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), batch_size=32, **keywords)


def test_any_model_optimizer_and_data():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(100, 1, 28, 28, generator=random)
    labels = torch.arange(100) % 10
    pairs = list(zip(images, labels, strict=True))
    losses = []
    for data in ((images.numpy(), labels.numpy()), (images, labels), pairs):
        torch.manual_seed(0)
        history = small_trainer(data).fit(epochs=2)
        losses.append([record.loss for record in history.records])
    assert len(losses[0]) == 2 * 4  # 100 images: three batches of 32 and one of 4
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((np.zeros((3, 1), np.int64), np.zeros(3, np.int64)), "images must be floating point"),
        ((np.zeros((3, 1)), np.zeros(3)), "labels must be integers"),
        (
            torch.utils.data.TensorDataset(torch.zeros((3, 1), dtype=torch.uint8), torch.arange(3)),
            "images must be floating point, not uint8",
        ),
        (
            torch.utils.data.TensorDataset(torch.zeros(3, 1), torch.tensor([0.7, 1.0, 2.0])),
            "labels must be integers",
        ),
        ([(np.zeros(1), 0.7), (np.zeros(1), 1)], "labels must be integers"),
        ((np.zeros((3, 1)), np.zeros(4, np.int64)), "3 images and 4 labels"),
        (7, "data must be .* not a int"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(data, sentence):
    with pytest.raises(SparringError, match=sentence):
        small_trainer(data)


def test_on_one_process_a_parallel_strategy_falls_back_and_says_so(caplog):
    trainer = small_trainer(strategy=Pipeline())
    assert "falling back to 'sequential'" in caplog.text
    assert len(trainer.fit(updates=2).records) == 2


def test_fit_goes_on_where_it_was():
    trainer = small_trainer()
    trainer.fit(updates=3)
    assert [record.batch for record in trainer.fit(updates=2).records] == [3, 4]


def test_a_timeline_is_a_chrome_trace(tmp_path):
    path = tmp_path / "trace.json"
    small_trainer().fit(updates=2, timeline=path)
    events = json.loads(path.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in spans] == ["generate", "update"] * 2
    assert [event["args"]["batch"] for event in spans] == [0, 0, 1, 1]
    ends = [event["ts"] + event["dur"] for event in spans]
    assert all(a <= b["ts"] + 1e-3 for a, b in zip(ends, spans[1:], strict=False))


def test_spans_cost_nothing_when_off():
    assert small_trainer().fit(updates=2).log.spans == []


class Unused(nn.Module):
    """A model with a layer that takes no part, between two that do."""

    def __init__(self):
        super().__init__()
        self.first, self.unused, self.last = nn.Linear(784, 8), nn.Linear(3, 3), nn.Linear(8, 10)

    def forward(self, x):
        return self.last(self.first(x.flatten(1)))


@pytest.mark.parametrize("overlap", [False, True])
def test_parameters_that_a_model_does_not_use_have_the_gradient_0(overlap):
    """With overlap, parts that are never told of would never be reduced."""
    model = Unused()
    compute = small_trainer(model=model).compute
    for parameter in model.parameters():  # what a user's own backward pass left
        parameter.grad = torch.ones_like(parameter)
    gradients, told = np.full(compute.gradient_count, np.nan, np.float32), []
    batch = compute.attack(0, slice(None))
    compute.gradients(batch, gradients, told.append if overlap else None)
    images, labels = torch.from_numpy(batch.images), torch.from_numpy(batch.labels)
    model.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    expected = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    np.testing.assert_allclose(
        gradients, torch.cat([g.flatten() for g in expected]), rtol=1e-4, atol=1e-7
    )
    assert sum(part.stop - part.start for part in told) == (len(gradients) if overlap else 0)


def test_measuring_strength_does_not_change_what_is_trained():
    """In train mode, a look at the loss would count in the statistics and draw dropout's noise."""
    weights = []
    for record_strength in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 10)
        )
        small_trainer(model=model).fit(updates=3, record_strength=record_strength)
        weights.append(torch.cat([t.flatten().double() for t in model.state_dict().values()]))
    assert (weights[0] == weights[1]).all()


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"batch_size": 0}, "batch_size must be an integer from 1, not 0"),
        ({"seed": -1}, "seed must be an integer from 0, not -1"),
        ({"seed": 2**64}, r"seed must be in 0 \.\. 2\*\*64 - 1, not 18446744073709551616"),
        ({"threads": 0}, "threads must be an integer from 1, not 0"),
        ({"strategy": Pipeline}, "strategy must be a name or a strategy, not <class"),
    ],
)
def test_wrong_arguments_are_refused(keywords, sentence):
    arguments = {"batch_size": 32, **keywords}
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = torch.optim.Adam(model.parameters())
    data = (np.zeros((3, 1, 28, 28), np.float32), np.zeros(3, np.int64))
    with pytest.raises(SparringError, match=sentence):
        sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), **arguments)


@pytest.mark.parametrize("frozen", [False, True])
def test_an_optimizer_that_would_train_nothing_is_refused(frozen):
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)
    model.requires_grad_(not frozen)
    optimizer = torch.optim.SGD((model if frozen else other).parameters(), lr=1)
    data = (np.zeros((3, 4), np.float32), np.zeros(3, np.int64))
    with pytest.raises(SparringError, match="holds no trainable parameter of this model"):
        sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1))


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"updates": -3}, "updates must be an integer from 0, not -3"),
        ({"updates": 2.5}, "updates must be an integer from 0, not 2.5"),
        ({"epochs": -1}, "epochs must be an integer from 0, not -1"),
        ({"updates": 1, "checkpoint_interval": 0}, "checkpoint_interval must be .* from 1, not 0"),
        ({"updates": 1, "checkpoint": "nowhere/a.pt"}, "a.pt: cannot be written: there is no fold"),
        ({"updates": 1, "timeline": "nowhere/a.json"}, "a.json: cannot be written: there is no fo"),
        ({"updates": 1, "timeline": "/"}, "/: is a folder; expected the name of a file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(keywords, sentence):
    trainer = small_trainer()
    with pytest.raises(SparringError, match=sentence):
        trainer.fit(**keywords, on_update=lambda record: pytest.fail("trained"))
    assert trainer.updates == 0


def test_rank_0_alone_failing_to_write_at_the_end_ends_all_ranks(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    job = {
        "strategy": "data_parallel", "remove": str(folder),
        "fit": {"updates": 2, "timeline": str(folder / "trace.json")},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert "sparring: rank 0 could not write what it trained" in output


def test_accuracy_leaves_every_modules_mode_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    trainer = small_trainer(model=model)
    model[1].eval()
    trainer.accuracy(None, 10)
    assert [module.training for module in model] == [True, False, True]
    with pytest.raises(SparringError, match="images must be an integer from 1, not 0"):
        trainer.accuracy(None, 0)


class TestCheckpoints:
    def test_one_that_exists_is_not_overwritten_by_forgetting_to_resume(self, tmp_path):
        path = tmp_path / "state.pt"
        trainer = small_trainer()
        trainer.fit(updates=1, checkpoint=path)
        trainer.fit(updates=1, checkpoint=path)  # its own it may
        kept = path.read_bytes()
        with pytest.raises(SparringError, match=r"state\.pt: a checkpoint is there already"):
            small_trainer().fit(updates=1, checkpoint=path)
        assert path.read_bytes() == kept

    def test_a_damaged_one_is_told_of(self, tmp_path):
        path = tmp_path / "state.pt"
        small_trainer().fit(updates=1, checkpoint=path)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(SparringError, match=r"state\.pt: damaged, or no checkpoint"):
            small_trainer().fit(updates=2, checkpoint=path, resume=True)

    def test_one_of_another_run_is_refused(self, tmp_path):
        path = tmp_path / "state.pt"
        small_trainer().fit(updates=1, checkpoint=path)
        with pytest.raises(SparringError, match="was made with seed = 0, not 1"):
            small_trainer(seed=1).fit(updates=2, checkpoint=path, resume=True)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        data, optimizer = sparring.data.load("mnist-5k"), torch.optim.SGD(model.parameters(), lr=1)
        trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), batch_size=32)
        with pytest.raises(SparringError, match="was made with optimizer = Adam, not SGD"):
            trainer.fit(updates=2, checkpoint=path, resume=True)
        other = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Linear(10, 10))
        with pytest.raises(SparringError, match="does not fit this model"):
            small_trainer(model=other).fit(updates=2, checkpoint=path, resume=True)

    def test_a_failed_write_leaves_the_last_one(self, tmp_path, monkeypatch):
        path = tmp_path / "state.pt"
        small_trainer().fit(updates=1, checkpoint=path)
        kept, state = path.read_bytes(), load(path)

        def half(content, file):
            file.write(b"half of it")
            raise OSError("disk full")

        monkeypatch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="disk full"):
            save(path, state)
        assert path.read_bytes() == kept
        assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_arrival_logs_that_are_none_are_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    with pytest.raises(SparringError, match=r"log\.jsonl: cannot be read"):
        load_arrivals(path)
    path.write_text('{"update": 0}\n')
    with pytest.raises(SparringError, match=r"log\.jsonl:1: expected the JSON record"):
        load_arrivals(path)
    record = BatchRecord(3, 3, 1, ((0, 3),), None, 1.0)
    with pytest.raises(SparringError, match="must hold updates 0 to 1 in order"):
        small_trainer(strategy=Replay([record])).fit(updates=2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--strategy", "foo"], "Invalid value for '--strategy'"),
        (["--strategy", "pipeline", "--option", "credits=0"], "credits must be at least 1"),
        (["--strategy", "pipeline", "--option", "foo=1"], "expected key=value with an option"),
        (["--strategy", "pipeline", "--option", "credits=abc"], "credits must be an integer"),
        (["--strategy", "sharded", "--option", "overlap=maybe"], "overlap must be true or false"),
        (["--strategy", "sharded", "--option", "trainer_share=2"], "must be within 0 to 1"),
        (["--checkpoint", "nowhere/a.pt"], "nowhere/a.pt: cannot be written"),
        (["--timeline", "nowhere/a.json"], "nowhere/a.json: cannot be written"),
        (["--arrivals", "nowhere/a.jsonl"], "nowhere/a.jsonl: cannot be written"),
        (["--dataset", "imagenet"], "Invalid value for '--dataset'"),
        (["--epochs", "1", "--updates", "1"], "not both"),
        (["--resume"], "resume needs the checkpoint"),
        (["--replay", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--optimizer", "adam"], "--optimizer adam needs --learning-rate"),
        (
            ["--optimizer", "adam", "--learning-rate", "0.1", "--momentum", "0.1"],
            "--momentum has no meaning with --optimizer adam",
        ),
        (
            ["--replay", "nowhere.jsonl", "--option", "credits=2"],
            "expected key=value with an option of 'replay'",
        ),
        (
            [
                "--attack",
                "fgsm",
                "--strategy",
                "sharded",
                "--option",
                "overlap=true",
                "--option",
                "refresh_steps=1",
            ],
            "adversaries cannot be refreshed: FGSM has no further steps",
        ),
    ],
)
def test_the_command_line_refuses_in_a_sentence(arguments, sentence):
    result = CliRunner().invoke(main, ["train", *arguments])
    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_an_error_on_one_rank_alone_ends_all_of_them(tmp_path):
    """Rank 1 finds no data; rank 0 must not wait for it for ever."""
    program = tmp_path / "one_sided.py"
    program.write_text(
        "import os, sys\n"
        "from sparring.commands.cli import main\n"
        "data = ['--data', 'nowhere'] if os.environ.get('PMI_RANK') == '1' else []\n"
        "sys.argv[1:] = ['train', '--updates', '3', '--strategy', 'data_parallel', *data]\n"
        "main()\n"
    )
    launcher, log = find_launcher(), tmp_path / "log"
    outcome = run(
        launcher.command(2, 1, [*forked.rank_command(), str(program)]),
        launcher.variables(2, 1),
        mark=f"trainer-{tmp_path.name}",
        log=log,
        limit_seconds=60,
    )
    assert not outcome.timed_out
    assert outcome.exit_code != 0
    assert "error: " in log.read_text(encoding="utf-8")


def test_the_command_line_trains(tmp_path):
    state, arrivals = str(tmp_path / "state.pt"), str(tmp_path / "arrivals.jsonl")
    arguments = ["train", "--updates", "3", "--steps", "1", "--batch-size", "8", "--evaluate", "10",
                 "--checkpoint", state, "--arrivals", arrivals]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "3 updates in" in result.output
    assert "backend torch" in result.output
    assert "robust accuracy" in result.output
    assert len(load_arrivals(Path(arrivals))) == 3
    assert load(Path(state)).updates == 3


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="no C++ compiler")
def test_the_command_line_trains_on_the_fused_engine():
    arguments = ["train", "--updates", "2", "--steps", "2", "--batch-size", "8", "--evaluate", "0"]
    result = CliRunner().invoke(main, [*arguments, "--backend", "fused"])
    assert result.exit_code == 0, result.output
    assert "backend fused" in result.output


def test_the_command_line_says_why_the_fused_engine_cannot_serve(monkeypatch):
    monkeypatch.setenv("SPARRING_ISA", "mmx")
    result = CliRunner().invoke(main, ["train", "--updates", "1", "--backend", "fused"])
    assert result.exit_code == 2
    (sentence,) = result.output.splitlines()
    assert sentence.startswith("error: the fused engine cannot serve this model: SPARRING_ISA=mmx")
