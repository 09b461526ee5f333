"""What a host tells of a launch, and which marks it gets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.noise import host
from harness.noise.host import Look, between, look
from harness.noise.kinds import KINDS
from harness.noise.marks import of_launch, of_point
from harness.tables.columns import HOST_COLUMNS

QUIET = [1.00, 1.01, 0.99, 1.02, 0.98, 1.005, 0.995, 1.015]


def marks(kinds):
    return [kind.mark for kind in kinds]


def test_every_kind_has_a_cause_and_a_remedy_and_no_two_a_mark():
    assert all(kind.cause and kind.remedy and mark == kind.mark for mark, kind in KINDS.items())


def test_what_children_did_is_ours_and_told_apart_from_others():
    before = look()
    busy = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    after = look()
    assert after.own - before.own >= 0.4
    told = between(before, after, ours=True)
    assert set(told) | {"padding_bytes"} == set(HOST_COLUMNS)
    assert 0 <= told["host_other_cores"] <= (os.cpu_count() or 1)
    assert between(before, after, ours=False)["host_other_cores"] is None


def test_rates_are_per_second_of_the_launch():
    before = Look(10.0, 100.0, 5.0, 3.0, 7, 1.0, 0.5, 2000.0)
    after = Look(20.0, 125.0, 6.0, 13.0, 9, 1.5, 2.5, 2600.0)
    assert between(before, after, ours=True) == {
        "host_other_cores": 1.5, "host_stolen_cores": 0.1, "host_memory_stall": 0.05,
        "host_load": 0.5, "host_mhz": 2600.0, "involuntary_switches": 2,
    }  # fmt: skip


def test_a_system_that_tells_nothing_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "_PROC", tmp_path)
    told = between(look(), look(), ours=True)
    assert told["host_other_cores"] is told["host_stolen_cores"] is told["host_mhz"] is None
    assert of_launch(told, [], "measured", 1) == []


def repetition(*ranks, warmup=False, seconds=1.0):
    return {"warmup": warmup, "seconds": seconds, "ranks": list(ranks)}


@pytest.mark.parametrize(
    ("told", "repetitions", "source", "expected"),
    [
        ({"host_other_cores": 0.1}, [], "measured", []),
        ({"host_other_cores": 0.9}, [], "measured", ["other-load"]),
        ({"host_stolen_cores": 0.5, "host_memory_stall": 0.2}, [], "emulated",
         ["stolen", "memory-pressure"]),
        ({}, [], "oversubscribed", ["oversubscribed"]),
        ({}, [repetition({"cpus": "0 1 2"})], "measured", ["unbound"]),
        ({}, [repetition({"cpus": "0 2"})], "measured", []),
        ({}, [repetition({"run_seconds": 1.0}, {"run_seconds": 0.5})], "measured", ["rank-skew"]),
        ({}, [repetition({"run_seconds": 1.0}, {"run_seconds": 0.9})], "measured", []),
        ({}, [repetition({"run_seconds": 1.0}, {"run_seconds": 0.1}, warmup=True)], "measured", []),
        ({}, [repetition(seconds=0.9e-3), repetition()], "measured", ["too-short"]),
        ({}, [repetition(seconds=0.9e-3) | {"calls": 2}], "measured", []),
        ({}, [repetition(seconds=0.9e-3, warmup=True), repetition(seconds=1.1e-3)], "measured", []),
    ],
)  # fmt: skip
def test_marks_of_a_launch(told, repetitions, source, expected):
    assert marks(of_launch(told, repetitions, source, threads=1, clock_step=1e-6)) == expected


def test_warm_ups_that_ended_too_early_are_marked():
    assert marks(of_launch({}, [repetition()], "measured", threads=1, cold=True)) == ["not-warm"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (QUIET, []),
        ([1.3, *QUIET], ["slow-first-launch"]),
        ([1.0, 1.01, 1.3, 1.0, 1.31, 1.01, 1.3, 1.31], ["bimodal"]),
        ([1.0 + 0.02 * i for i in range(10)], ["drift"]),
        ([1.0 + 0.0001 * i for i in range(10)], []),
        ([1.0, 2.0, 3.0, 4.0, 5.0], []),
    ],
)
def test_marks_of_a_point(seconds, expected):
    assert marks(of_point(seconds)) == expected


def test_launches_on_several_hosts():
    assert marks(of_point(QUIET, ["n1", "n2", "n1"])) == ["several-hosts"]
