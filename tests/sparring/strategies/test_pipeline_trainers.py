"""Pipelines with several trainers: what they share, and how many serve best."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from sparring.compute.interface import Batch
from sparring.strategies import Pipeline, Run
from sparring.strategies.pipeline import roles
from sparring.strategies.waiting import Waiting
from tests.sparring.strategies.cases import UPDATES, Case, joint, train, trained

SHARED = joint(
    *(
        Case("pipeline", trainers + 2, {"trainers": trainers, **options}, slow_rank=trainers + 1)
        for trainers, options in [
            (2, {}),
            (3, {"refresh_steps": 2}),
            (2, {"weights": "window", "messages": "packed", "receive": "completion",
                 "send": "double_buffered", "refresh_steps": 1}),
            (2, {"assignment": "dynamic", "trainer_generates": True, "weights": "window"}),
            (2, {"max_staleness": 1, "weight_sends": "on_change"}),
            (2, {"max_staleness": 1, "staleness_policy": "drop"}),
            (2, {"study_partial_batches": True}),
            (9, {"record_strength": True}),
        ]
    )
)  # fmt: skip


@pytest.mark.parametrize("case", SHARED, ids=str)
def test_trainers_share_every_batch_and_all_have_the_same_weights(case):
    """9: more trainers than a batch has rows."""
    options, trainers = case.options, case.options["trainers"]
    defect = options.get("study_partial_batches")
    ranks = trained(case)
    group, generators = ranks[:trainers], ranks[trainers:]
    assert {rank["final"] for rank in group} == {UPDATES}
    assert [rank["role"] for rank in generators] == ["generator"] * 2
    assert {rank["role"] for rank in group[1:]} == {"trainer"}
    assert sorted(t["number"] for t in group[0]["trained"]) == list(range(UPDATES))
    for update, shares in enumerate(zip(*(rank["trained"] for rank in group), strict=True)):
        assert len({share["number"] for share in shares}) == 1
        assert {share["version"] for share in shares} == {update}
        rows = [row for share in shares for row in share["rows"]]
        assert len(rows) == shares[0]["whole"]
        assert rows == list(range(shares[0]["whole"])) or defect
        seen = [share["oldest"] for share in shares if share["rows"]]
        assert group[0]["staleness"][update] == update - min(seen) or defect
        if options.get("refresh_steps"):
            assert {share["newest"] for share in shares if share["rows"]} == {update}
    for rank in group[1:]:
        assert rank["records"] == group[0]["records"]
        assert rank["losses"] == group[0]["losses"] == pytest.approx([1.0] * UPDATES)
    made = {record[2] for record in group[0]["records"]}
    lone = {0} if options.get("trainer_generates") else set()
    assert made == {trainers, trainers + 1} | (made & lone)
    assert {rank["counters"]["trainers"] for rank in ranks} == {trainers}


def test_the_number_of_trainers_is_measured():
    """An attack of 4 steps of 5 ms, an update of none: one trainer; refreshed as long: several."""
    (trainer, *_) = train("pipeline", 3, trainers="auto", updates=4)
    assert trainer["counters"]["trainers"] == 1
    slow = {"slow_rank": 0, "slow_seconds": 0.01, "row_seconds": 0.01, "updates": 4}
    (trainer, *_) = train("pipeline", 5, trainers="auto", refresh_steps=1, **slow)
    assert trainer["counters"]["trainers"] in (2, 3)


def test_the_best_number_of_trainers_is_found_behind_a_worse_one(monkeypatch):
    """Shares of 16 images are cheap, and those of 13 or 11, which fill a block in part, dear."""
    by_share = {64: 9.0, 32: 5.0, 22: 4.0, 16: 2.2, 13: 2.6, 11: 2.5, 10: 2.4, 8: 1.5}
    monkeypatch.setattr(roles, "_update", lambda options, run, batch, part: part.stop)
    monkeypatch.setattr(roles, "_seconds", lambda action: by_share.get(action(), 40.0))

    class Compute:
        def rows(self, number):
            return 64

        def attack(self, number, part, on_step=None, every=1):
            return 40.0 if on_step else Batch(0, 64, np.zeros((64, 1)), np.zeros(64, np.int64))

    class Comm:
        rank, size = 0, 32

        def Ibcast(self, numbers):  # noqa: N802
            return MPI.REQUEST_NULL

    run = Run(Comm(), Compute(), 1)
    assert roles._choose(Pipeline(trainers="auto"), run, Waiting(spin=True)) == 8
    assert run.log.notes == [
        "8 of 32 ranks train: an update of 8 images each takes 1500.0 ms, and 24 generate a "
        "minibatch in 1666.7 ms"
    ]
