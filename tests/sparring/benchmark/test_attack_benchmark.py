"""Who is measured when, and who is out."""

from __future__ import annotations

import pytest

from sparring.benchmark import summary
from sparring.benchmark.plan import UPDATE, Plan
from sparring.benchmark.worker import AbsentError
from tests.sparring.benchmark.fakes import SMALL, adversaries


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
