"""The attack benchmark: what is refused, who is measured when, and what becomes of the table."""

from __future__ import annotations

import csv
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from sparring import PGD, networks
from sparring.backends import BackendError
from sparring.benchmark import plan, summary
from sparring.benchmark import problem as problems
from sparring.benchmark.attacking import pgd_settings
from sparring.benchmark.competitors import BUILDERS, Competitor
from sparring.benchmark.measure import Benchmark
from sparring.benchmark.plan import (
    ATTACK,
    COMPETITORS,
    ITERATION,
    TASKS,
    UPDATE,
    Configuration,
    Numbers,
    Plan,
)
from sparring.benchmark.problem import Problem
from sparring.benchmark.table import COLUMNS, Table
from sparring.benchmark.verification import Judge, WrongAttackError
from sparring.benchmark.worker import AbsentError, Process, Timing, WorkerError
from sparring.checkpoint import capture, save
from sparring.commands.cli import main
from sparring.errors import SparringError

IMAGES = 32


@pytest.fixture
def problem():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)).eval()
    images = torch.rand(IMAGES, 1, 4, 4)
    with torch.no_grad():
        labels = model(images).argmax(1)
    return Problem("study", model, images, labels)


@pytest.fixture
def judge(problem):
    return Judge(problem, Numbers())


def adversaries(problem, steps=5, count=IMAGES, **changes):
    attack = PGD(steps=steps, **{**pgd_settings(Numbers()), **changes})
    return attack(problem.model, problem.images[:count], problem.labels[:count])


def update_of(problem, x, part=slice(None), learning_rate=0.01):
    """An update as a competitor tells of it, done by nobody's code but this."""
    parameters = list(problem.model.parameters())
    loss = nn.functional.cross_entropy(problem.model(x), problem.labels[part])
    found = torch.autograd.grad(loss, parameters)
    flat = [torch.cat([t.detach().flatten() for t in kind]) for kind in (parameters, found)]
    return {"images": x, "gradients": flat[1], "weights": flat[0] - learning_rate * flat[1]}


class Fake:
    """A competitor in this process, whose attacks take the seconds that it is told."""

    version, backend, torch = "1.2.3", "torch", "9.9"
    busy = None  # whoever computes

    def __init__(self, problem, name, log, seconds=0.5, attack=adversaries, fails_at=None):
        self.problem, self.name, self.log, self.seconds = problem, name, log, seconds
        self._attack, self._fails_at, self._asked = attack, fails_at, 0
        self.closed = False

    def run(self, start, batch_size, steps, *, calls=1, warmups=0, keep=None):
        assert not self.closed
        self._asked += 1
        self.log.append((self.name, batch_size, steps, calls, warmups, keep is not None))
        if self._asked == self._fails_at:
            raise WorkerError("RuntimeError: no luck")
        if keep is not None:
            part = slice(start, start + batch_size)
            if steps:
                found = {"images": self._attack(self.problem, steps)[part]}
            else:
                found = update_of(self.problem, self.problem.images[part], part)
            np.savez(keep, **{name: tensor.numpy() for name, tensor in found.items()})
        return Timing(self.seconds * calls, calls, preparation=0.25)

    def close(self):
        self.closed = True


class Clock:
    """Seconds that pass with every look at it."""

    def __init__(self, tick=0.0):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


@pytest.fixture
def bench(problem, judge, tmp_path):
    """A benchmark of fakes: from a plan and what is special about some of them."""

    def build(planned, tick=0.0, **special):
        log, started, told = [], [], []

        def start(name, threads):
            started.append((name, threads))
            keywords = special.get(name, {})
            if isinstance(keywords, Exception):
                raise keywords
            return Fake(problem, name, log, **keywords)

        table = Table(tmp_path / "attack_benchmark.csv")
        benchmark = Benchmark(planned, start, judge, table, tmp_path, told.append, Clock(tick))
        return benchmark, log, started, told

    return build


SMALL = Plan(batch_sizes=(4,), steps=(5,), competitors=("sparring", "plain", "art"), rounds=(4, 4))


# --- verification


def test_the_same_attack_passes(problem, judge):
    found = judge.check(adversaries(problem, 20), 20)
    assert found == judge.reference(IMAGES, 20)
    assert found.success_rate > 0.5
    assert judge.check(adversaries(problem, 20, count=16), 20) == judge.reference(16, 20)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p, x: p.images.clone(), "mean loss is .*, that of Sparring's PyTorch attack"),
        (lambda p, x: adversaries(p, 20, epsilon=0.1), "mean loss"),
        (lambda p, x: adversaries(p, 20, epsilon=0.4), "up to 0.4.* at most 0.3"),
        (lambda p, x: x + 1e-4 * (x - p.images).sign(), "up to|pixels"),
        (lambda p, x: x - 0.2, "up to|pixels of the adversaries lie in"),
        (lambda p, x: x / x.new_tensor([0.0, 1.0, 1.0, 1.0]), "not finite"),
        (lambda p, x: x.double(), "float64"),
        (lambda p, x: x[:, :, 1:], r"expected torch.float32 \(32, 1, 4, 4\)"),
    ],
)
def test_another_attack_is_refused(problem, judge, spoil, said):
    with pytest.raises(WrongAttackError, match=said):
        judge.check(spoil(problem, adversaries(problem, 20)), 20)


def test_pixels_out_of_bounds_are_refused(problem):
    judge = Judge(problem, Numbers(epsilon=3.0))
    with pytest.raises(WrongAttackError, match=r"pixels .* expected 0 to 1"):
        judge.check(problem.images - 1.0, 5)


def test_a_success_rate_that_is_too_low_is_refused(problem, judge):
    """Losses may agree in the mean while fewer images fool the network."""
    found = adversaries(problem)
    with torch.no_grad():
        fooled = (problem.model(found).argmax(1) != problem.labels).nonzero().flatten()
    found[fooled[:4]] = problem.images[fooled[:4]]
    judge._references[5] = (torch.zeros(IMAGES), torch.ones(IMAGES, dtype=torch.bool))
    with pytest.raises(WrongAttackError, match="of the adversaries fool the network"):
        judge.check(found, 5)


@pytest.mark.parametrize(("batch", "images"), [(1, 16), (3, 18), (16, 16), (32, 32)])
def test_small_batches_are_checked_together(judge, batch, images):
    assert judge.images_for(batch) == images


@pytest.mark.parametrize("batch", [1, 8, IMAGES])
def test_updates_pass(problem, judge, batch):
    parts = [slice(start, start + batch) for start in range(0, IMAGES, batch)]
    found = [update_of(problem, problem.images[part], part) for part in parts]
    strength = judge.judge(UPDATE, found, 0)
    assert strength.gradient_error < 1e-5
    assert strength.loss_after < strength.loss
    attacked = adversaries(problem)
    found = [update_of(problem, attacked[part], part) for part in parts]
    assert judge.judge(ITERATION, found, 5).loss == judge.reference(IMAGES, 5).loss
    assert judge.judge(ATTACK, found, 5).gradient_error is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda found: found["gradients"].mul_(1.002), "gradients are 0.002 from those of float64"),
        (lambda found: found["gradients"].fill_(float("nan")), "gradients are nan"),
        (lambda found: found["gradients"].resize_(3), r"gradients are \(3,\), expected"),
        (lambda found: found["weights"].add_(found["gradients"], alpha=0.001),
         "the loss after the update is .*, of float64 .*; before it was"),
        (lambda found: found["weights"].add_(found["gradients"], alpha=0.01), "the loss after"),
    ],
)  # fmt: skip
def test_another_update_is_refused(problem, judge, spoil, said):
    found = update_of(problem, problem.images)
    spoil(found)
    with pytest.raises(WrongAttackError, match=said):
        judge.judge(UPDATE, [found], 0)


def test_an_iteration_with_another_attack_is_refused(problem, judge):
    with pytest.raises(WrongAttackError, match="mean loss"):
        judge.judge(ITERATION, [update_of(problem, problem.images)], 5)


# --- the plan


def test_rounds_by_budget():
    planned = Plan(rounds=(6, 9), rounds_large=3, budget_seconds=5)
    small, large = Configuration("attack", 1, 15, 64), Configuration("attack", 1, 15, 256)
    assert planned.goes_on(small, 5, 1000)
    assert not planned.goes_on(small, 6, 5.1)
    assert planned.goes_on(small, 8, 4.9)
    assert not planned.goes_on(small, 9, 0)
    assert planned.goes_on(large, 2, 1000)
    assert not planned.goes_on(large, 3, 1000)


def test_short_attacks_are_repeated():
    planned = Plan(repetition_seconds=0.1)
    assert [planned.calls(seconds) for seconds in (1.0, 0.1, 0.03, 0.0)] == [1, 1, 4, 10_000]


def test_presets_and_options():
    laptop = plan.presets()["laptop"]
    assert laptop[ATTACK].batch_sizes == (1, 4, 16, 64, 256)
    assert laptop[ATTACK].steps == (15, 32)
    assert (laptop[UPDATE].batch_sizes, laptop[UPDATE].steps) == ((2, 16, 64), (0,))
    assert (laptop[ITERATION].batch_sizes, laptop[ITERATION].steps) == ((64,), (32,))
    for task, planned in laptop.items():
        assert planned.task == task
        assert planned.threads[0] == 1
        assert planned.rounds[0] >= 6  # fewer have no 95 % interval
    assert plan.chosen("laptop", batch_sizes=(), rounds=None, seed=0) == [laptop[ATTACK]]
    assert plan.chosen("laptop", (ITERATION, ATTACK)) == [laptop[ATTACK], laptop[ITERATION]]
    (own,) = plan.chosen("smoke", batch_sizes=(8, 2, 8), competitors=("art", "fused"), rounds=3)
    assert own.batch_sizes == (2, 8)
    assert own.competitors == ("fused", "art")
    assert (own.rounds, own.rounds_large) == ((3, 3), 3)
    with pytest.raises(
        SparringError, match=r"competitor must be one of fused, .*, not 'cleverhans'"
    ):
        plan.chosen("smoke", competitors=("cleverhans",))


def test_tasks_have_their_own_competitors():
    some = plan.chosen("smoke", TASKS, competitors=("plain", "foolbox"), steps=(7,))
    assert [planned.competitors for planned in some] == [("plain", "foolbox"), *[("plain",)] * 2]
    assert [planned.steps for planned in some] == [(7,), (0,), (7,)]
    assert [planned.task for planned in plan.chosen("smoke", TASKS, competitors=("art",))] == [
        ATTACK
    ]
    with pytest.raises(SparringError, match="none of art can do an update; expected one of fused"):
        plan.chosen("smoke", (UPDATE,), competitors=("art",))


def test_every_competitor_can_be_built():
    assert list(BUILDERS) == list(COMPETITORS)


# --- the order of events


def test_every_competitor_once_a_round_in_random_order(bench):
    benchmark, log, started, told = bench(SMALL)
    rows = benchmark.measure()
    assert [row["status"] for row in rows] == ["ok"] * 12
    orders = []
    for number in range(4):
        own = [row for row in rows if row["round"] == number]
        assert [row["order"] for row in own] == [0, 1, 2]
        orders.append(tuple(row["competitor"] for row in own))
        assert set(orders[-1]) == {"sparring", "plain", "art"}
    assert len(set(orders)) > 1
    assert sorted(started) == [("art", 1), ("plain", 1), ("sparring", 1)]
    assert told == ["[1/1] attack, 1 thread, 5 steps, batch 4: 4 rounds in 0.0 s"]
    # 16 images in batches of 4 are checked, then one call settles what to expect
    assert [entry[0] for entry in log[:15]] == ["sparring"] * 5 + ["plain"] * 5 + ["art"] * 5
    row = rows[0]
    assert row["seconds"] == 0.5
    assert row["image_steps_per_second"] == 40
    assert (row["version"], row["torch_version"], row["calls"]) == ("1.2.3", "9.9", 1)
    assert row["loss"] == pytest.approx(benchmark.judge.reference(16, 5).loss)
    assert row["first_call_seconds"] == 0.75  # with what was made for it
    assert (row["task"], row["gradient_error"], row["loss_after"]) == ("attack", None, None)


def test_updates_are_measured(bench):
    planned = Plan(UPDATE, (4,), steps=(0,), competitors=("plain",), rounds=(2, 2))
    benchmark, _, _, told = bench(planned)
    rows = benchmark.measure()
    assert told == ["[1/1] update, 1 thread, batch 4: 2 rounds in 0.0 s"]
    assert [(r["task"], r["steps"], r["status"]) for r in rows] == [("update", 0, "ok")] * 2
    assert rows[0]["image_steps_per_second"] is None
    assert rows[0]["gradient_error"] < 1e-5
    assert rows[0]["loss_after"] < rows[0]["loss"]
    (found,) = summary.tables(rows)
    assert found.title == "update, initial weights, 1 thread"
    assert [column.header for column in found.columns][3:5] == ["ms an update", "images/s"]
    assert next(found.columns[4].cells) == "8"


def test_short_attacks_are_warmed_up_and_repeated(bench):
    benchmark, log, _, _ = bench(SMALL, plain={"seconds": 0.01})
    rows = benchmark.measure()
    timed = {entry for entry in log[15:] if entry[0] == "plain"}
    assert timed == {("plain", 4, 5, 5, 1, False)}
    assert {row["seconds"] for row in rows if row["competitor"] == "plain"} == {0.01}
    assert {entry[3:] for entry in log[15:] if entry[0] == "art"} == {(1, 0, False)}


def test_the_budget_ends_the_rounds(bench):
    planned = Plan(batch_sizes=(4,), steps=(5,), competitors=("plain",), rounds=(2, 50),
                   budget_seconds=10)  # fmt: skip
    benchmark, _, _, _ = bench(planned, tick=2.0)
    assert 2 < len(benchmark.measure()) < 10


def test_a_wrong_attack_is_not_timed(bench):
    def lazy(problem, steps):
        return adversaries(problem, steps=1)

    benchmark, log, _, told = bench(SMALL, plain={"attack": lazy})
    rows = benchmark.measure()
    (failed,) = [row for row in rows if row["competitor"] == "plain"]
    assert failed["status"] == "failed"
    assert "mean loss" in failed["message"]
    assert failed.get("seconds") is None
    assert sum(entry[0] == "plain" for entry in log) == 4
    assert told[0].startswith("plain PyTorch: failed: the adversaries' mean loss")
    assert {r["competitor"] for r in rows if r["status"] == "ok"} == {"sparring", "art"}


def test_an_absent_library_is_skipped_and_said_once(bench):
    planned = Plan(batch_sizes=(2, 4), threads=(1, 2), steps=(5,), rounds=(1, 1),
                   competitors=("sparring", "art"))  # fmt: skip
    absent = AbsentError("not installed: make peers")
    benchmark, _, started, told = bench(planned, art=absent)
    rows = benchmark.measure()
    skipped = [row for row in rows if row["competitor"] == "art"]
    assert [row["status"] for row in skipped] == ["skipped"] * 4
    assert {row["message"] for row in skipped} == {"not installed: make peers"}
    assert [line for line in told if "ART" in line] == ["ART: skipped: not installed: make peers"]
    assert started.count(("art", 1)) == 1
    assert sum(row["status"] == "ok" for row in rows) == 4


def test_who_fails_amid_rounds_is_out_and_starts_anew(bench):
    planned = Plan(batch_sizes=(4, 8), steps=(5,), rounds=(3, 3), competitors=("sparring", "art"))
    benchmark, _, started, _ = bench(planned, art={"fails_at": 7})
    rows = benchmark.measure()
    own = [row for row in rows if row["competitor"] == "art"]
    failures = [row for row in own if row["status"] == "failed"]
    assert {row["message"] for row in failures} == {"RuntimeError: no luck"}
    assert all(row["round"] is not None for row in failures)
    assert started.count(("art", 1)) == 2
    assert sum(r["status"] == "ok" for r in rows if r["competitor"] == "sparring") == 6


def test_the_summary_pairs_rounds(bench):
    benchmark, _, _, _ = bench(SMALL, plain={"seconds": 1.5}, art=AbsentError("not installed"))
    (found,) = summary.tables(benchmark.measure())
    cells = [list(column.cells) for column in found.columns]
    assert cells[1] == ["Sparring, PyTorch", "plain PyTorch", "ART"]
    assert cells[-1] == ["1.00 (1.00 to 1.00)", "3.00 (3.00 to 3.00)", "skipped: not installed"]
    assert "sparring" in str(found.columns[-1].header)


# --- the table


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_runs_are_added_and_nothing_changes(bench, tmp_path):
    path = tmp_path / "attack_benchmark.csv"
    bench(SMALL)[0].measure()
    first = path.read_bytes()
    bench(SMALL)[0].measure()
    assert path.read_bytes().startswith(first)
    rows = rows_of(path)
    assert len(rows) == 24
    assert list(rows[0]) == list(COLUMNS)
    assert len({row["run"] for row in rows}) == 2


def test_rows_stand_in_the_table_as_soon_as_measured(bench, tmp_path):
    benchmark, _, _, _ = bench(SMALL)
    stop = Clock()

    def clock():
        if len(benchmark.rows) >= 6:
            raise KeyboardInterrupt
        return stop()

    benchmark.clock = clock
    with pytest.raises(KeyboardInterrupt):
        benchmark.measure()
    assert len(rows_of(tmp_path / "attack_benchmark.csv")) == 6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "lacks the column 'schema_version'"),
        ((",".join((*COLUMNS, "mine")) + "\n").encode(), "has the unknown column 'mine'"),
        ((",".join(reversed(COLUMNS)) + "\n").encode(), "has its columns in another order"),
        ((",".join(COLUMNS) + "\n1,half").encode(), "ends in the middle of a row"),
    ],
)
def test_another_table_is_refused_and_left_alone(tmp_path, content, said):
    path = tmp_path / "attack_benchmark.csv"
    path.write_bytes(content)
    with pytest.raises(SparringError, match=said):
        Table(path)
    assert path.read_bytes() == content


def test_messages_stay_on_one_line(tmp_path):
    table = Table(tmp_path / "deep" / "t.csv")
    table.append([])
    table.append([{"run": "r", "message": 'two\nlines, "quoted" ' + "x" * 900}])
    (row,) = rows_of(table.path)
    assert row["message"].startswith('two lines, "quoted" xxx')
    assert len(row["message"]) == 500
    assert table.path.read_text().count("\n") == 2


# --- processes

GREETING = "import json, sys; say = lambda **k: print(json.dumps(k), flush=True)\n"
HELLO = "say(version='1', backend='b', torch='t')\n"


def process(tmp_path, code, **keywords):
    command = [sys.executable, "-c", GREETING + code]
    return Process(command, 2, tmp_path / "log", **keywords)


def test_a_process_answers(tmp_path):
    code = HELLO + "for line in sys.stdin: r = json.loads(line); " \
                   "n = r['calls']; say(seconds=15 * n, calls=n, preparation=1)"  # fmt: skip
    worker = process(tmp_path, code)
    assert (worker.version, worker.backend, worker.torch) == ("1", "b", "t")
    assert worker.run(0, 4, 15, calls=3) == Timing(45, 3, 1)
    worker._process.kill()
    with pytest.raises(WorkerError, match="the process ended with code -9"):
        worker.run(0, 4, 15)
    worker.close()


def test_threads_reach_the_process(tmp_path):
    code = "import os; say(version=os.environ['OMP_NUM_THREADS'], backend='', torch='')"
    worker = process(tmp_path, code)
    assert worker.version == "2"
    worker.close()


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("say(absent='not installed: make peers')", AbsentError, "not installed: make peers"),
        ("say(error='ValueError: no')", WorkerError, "ValueError: no"),
        ("print('a\\nlast words', file=sys.stderr); sys.exit(3)", WorkerError,
         "ended with code 3: last words"),
        ("import time; time.sleep(60)", WorkerError, "no answer within 0.3 s"),
    ],
)  # fmt: skip
def test_a_process_that_does_not_start(tmp_path, code, kind, said):
    with pytest.raises(kind, match=said):
        process(tmp_path, code, limit_seconds=0.3 if "sleep" in code else 60.0)


def test_a_package_that_is_not_there():
    with pytest.raises(AbsentError, match="not installed: make peers"):
        _ = Competitor("no-such-package-at-all", "torch", lambda model, numbers: None).version


@pytest.mark.parametrize("name", ["sparring", "plain"])
def test_competitors_find_what_the_reference_finds(problem, judge, name):
    run = BUILDERS[name].build(ATTACK, problem, Numbers())(5)
    judge.check(run(problem.images, problem.labels), 5)


@pytest.mark.parametrize(("task", "steps"), [(UPDATE, 0), (ITERATION, 5)])
@pytest.mark.parametrize("name", ["sparring", "plain"])
def test_training_starts_from_the_same_weights(problem, judge, name, task, steps):
    run = BUILDERS[name].build(task, problem, Numbers())(steps)
    before = run.weights()

    def found():
        images = run(problem.images, problem.labels)
        both = {"gradients": run.gradients(), "weights": run.weights()}
        return {"images": images, **{name: tensor.clone() for name, tensor in both.items()}}

    first = found()
    judge.judge(task, [first], steps)
    found()  # elsewhere by now, and with momentum
    run.restore()
    assert torch.equal(run.weights(), before)
    again = found()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["weights"], before)


def test_who_only_attacks_does_not_train(problem):
    for name in COMPETITORS:
        able = BUILDERS[name].trains is not None
        assert able == (name in TASKS[UPDATE]) == (name in TASKS[ITERATION])
    with pytest.raises(AbsentError, match="makes no update"):
        BUILDERS["art"].build(UPDATE, problem, Numbers())


def test_the_fused_competitor_falls_back_on_nothing(problem):
    flat = Problem("x", nn.Sequential(nn.Flatten(), nn.Softmax(1)), problem.images, problem.labels)
    run = BUILDERS["fused"].build(ATTACK, flat, Numbers())(2)
    with pytest.raises(BackendError):
        run(flat.images, flat.labels)


# --- the commands


def command(*arguments):
    return CliRunner().invoke(main, ["attack", *map(str, arguments)])


def test_help_is_told_without_torch():
    code = (
        "import sys; from sparring.commands.cli import main; main(['attack', '--help'], "
        "standalone_mode=False); assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--task [attack|update|iteration]" in done.stdout


@pytest.mark.parametrize("weights", ["initial", "trained"])
def test_the_benchmark_from_the_command_line(tmp_path, monkeypatch, weights):
    monkeypatch.setattr(problems, "ACCURACY", 0.3)  # trains for a moment
    result = command(
        "--benchmark", "--preset", "smoke", "--batch-size", 2, "--steps", 2, "--rounds", 1,
        "--task", "attack", "--task", "iteration", "--competitor", "plain", "--results", tmp_path,
        *(("--weights", weights) if weights != "initial" else ()),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "attack_benchmark.csv")
    assert [(row["task"], row["status"]) for row in rows] == [("attack", "ok"), ("iteration", "ok")]
    assert len({row["run"] for row in rows}) == 1
    assert float(rows[0]["image_steps_per_second"]) == pytest.approx(4 / float(rows[0]["seconds"]))
    assert rows[0]["gradient_error"] == ""
    assert float(rows[1]["gradient_error"]) < 1e-3
    assert "2 rows added to" in result.output
    assert {row["weights"] for row in rows} == {weights}
    assert f"network 'study', {weights} weights" in result.output
    assert f"attack, {weights} weights, 1 thread, 2 steps" in result.output
    assert ("training network 'study' on mnist-5k" in result.output) == (weights == "trained")


def test_a_checkpoint_is_attacked(tmp_path):
    model = networks.build("study", 5)
    save(tmp_path / "run.pt", capture(model, torch.optim.SGD(model.parameters(), lr=0.1), 0, {}))
    ours = ("--checkpoint", tmp_path / "run.pt", "--images", 20, "--steps", 2)
    result = command(*ours, "--backend", "torch")
    assert result.exit_code == 0, result.output
    assert "clean accuracy 0." in result.output
    assert "first 20 test images" in result.output
    assert "image-steps/s in" in result.output
    assert "backend torch" in result.output
    assert "training" not in result.output
    other = command(*ours, "--network", "madry")
    assert other.exit_code == 2
    assert "holds no weights of network 'madry'" in other.output
    assert command(*ours, "--attack", "fgsm", "--backend", "torch").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rounds", 3), "--rounds has no meaning without --benchmark"),
        (("--task", "update"), "--task has no meaning without --benchmark"),
        (("--weights", "trained"), "--weights has no meaning without --benchmark"),
        (("--benchmark", "--task", "update", "--steps", 3), "--steps has no meaning with --task"),
        (("--benchmark", "--task", "update", "--competitor", "art"), "none of art can do"),
        (("--benchmark", "--backend", "torch"), "--backend has no meaning with --benchmark"),
        (("--steps", 3, "--steps", 4), "--steps may be given once without --benchmark"),
        (("--checkpoint", "/no/such"), "/no/such: no such checkpoint"),
        (("--benchmark", "--competitor", "x"), "competitor must be one of"),
        (("--benchmark", "--preset", "smoke", "--batch-size", 5000, "--results", "{tmp}"),
         "fewer than the batch size 5000"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_sentence(arguments, said, tmp_path):
    result = command(*(str(a).replace("{tmp}", str(tmp_path)) for a in arguments))
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_configurations_come_in_random_order():
    planned = Plan(batch_sizes=(1, 2, 4, 8), steps=(1, 2))
    one = planned.configurations(1, random.Random(0))
    assert one == planned.configurations(1, random.Random(0))
    assert one != sorted(one)
    assert len(set(one)) == 8
