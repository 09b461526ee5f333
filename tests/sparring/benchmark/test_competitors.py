"""Competitors: their processes, and what they compute."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from sparring.backends import BackendError
from sparring.benchmark.competitors import BUILDERS, Competitor
from sparring.benchmark.plan import ATTACK, COMPETITORS, ITERATION, TASKS, UPDATE, Numbers
from sparring.benchmark.problem import Problem
from sparring.benchmark.worker import AbsentError, Process, Timing, WorkerError

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
