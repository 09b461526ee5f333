"""A small network to attack, who judges adversaries of it, and a benchmark of fakes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.benchmark.measure import Benchmark
from sparring.benchmark.plan import Numbers
from sparring.benchmark.problem import Problem
from sparring.benchmark.table import COLUMNS
from sparring.benchmark.verification import Judge
from sparring.tables import Table
from tests.sparring.benchmark.fakes import IMAGES, Clock, Fake


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

        table = Table(tmp_path / "attack_benchmark.csv", COLUMNS)
        benchmark = Benchmark(planned, start, judge, table, tmp_path, told.append, Clock(tick))
        return benchmark, log, started, told

    return build
