"""What a person sees of a run: lines of a log, a bar on a terminal."""

from __future__ import annotations

import errno

import pytest

from harness.run.bar import Bar
from harness.run.progress import Lines, Unfailing, span
from harness.tables.statistics import summarize, summarize_ratios
from tests.harness.studies import record


def failing():
    return record(status="failed", message="rank 0: [/red] :smile:", repetitions=[])


def test_lines_of_a_log(capsys):
    now = [0.0]
    lines = Lines(lambda: now[0])
    lines.begin(2)
    lines.ended("p=1", record(), summarize([0.5]), None)
    lines.more(4)
    lines.round(2)
    lines.ended("p=2", failing(), None, None)
    now[0] = 360.0
    lines.ended("p=2", record(), summarize([0.5] * 6), summarize_ratios([1.5, 1.5]))
    lines.end()
    assert capsys.readouterr().err.splitlines() == [
        "2 launches to run",
        "[1/2] p=1: ok 0.5 s; median 0.5 s, n = 1: too small for an interval",
        "[2/6, round 2] p=2: failed rank 0: [/red] :smile:; no launch has ended well",
        "[3/6, round 2, about 6 min left] p=2: ok 0.5 s; median 0.5 s [0.5, 0.5], n = 6; "
        "speed-up 1.5",
    ]


@pytest.mark.parametrize(("seconds", "told"), [(12.4, "12 s"), (720, "12 min"), (9000, "2.5 h")])
def test_spans_are_told_in_one_unit(seconds, told):
    assert span(seconds) == told


def test_output_that_fails_ends_reports_and_nothing_else():
    class Full(Lines):
        def ended(self, label, record, summary, speedup):
            calls.append(label)
            raise OSError(errno.ENOSPC, "No space left on device")

    calls = []
    told = Unfailing(Full())
    told.begin(2)
    told.ended("first", record(), None, None)
    told.ended("second", record(), None, None)
    told.beat(0.5)
    told.more(1)
    told.end()
    assert calls == ["first"]


def test_bar_shows_median_and_failure_as_they_are(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    bar = Bar()
    bar.begin(2)
    bar.round(1)
    bar.launching("mode=[/red]")
    bar.ended("mode=[/red]", record(), summarize([0.5] * 6), None)
    bar.more(1)
    bar.ended("mode=[/red]", failing(), None, None)
    bar.end()
    told = capsys.readouterr().err
    assert "mode=[/red]: failed: rank 0: [/red] :smile:" in told.replace("\n", " ")
    assert "2/3" in told
