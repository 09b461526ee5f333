"""Strategies on real MPI ranks, driving a compute that only does bookkeeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.strategies import RankLog, Sharded
from sparring.strategies.base import shard
from sparring.strategies.sharded import balanced_share
from sparring.strategies.waiting import SilentRankError, Waiting
from tests.sparring.strategies.cases import UPDATES, Case, joint, train, trained


@given(rows=st.integers(0, 200), parts=st.integers(1, 40))
def test_shards_cover_every_row_once_and_differ_by_one_at_most(rows, parts):
    shares = [list(range(rows))[shard(rows, parts, part)] for part in range(parts)]
    assert [row for share in shares for row in share] == list(range(rows))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_phases_exclude_each_other():
    now = iter([0.0, 2.0, 5.0, 6.0])
    log = RankLog("generator", clock=lambda: next(now))
    with log.phase("generate"), log.phase("receive"):
        pass
    assert log.seconds == {"generate": 3.0, "receive": 3.0, "update": 0, "send": 0, "wait": 0}


def test_waiting_without_spinning_sleeps_until_the_condition_holds():
    answers = iter([False, False, True])
    Waiting(spin=False).until(lambda: next(answers), "an answer")
    assert next(answers, "asked no further") == "asked no further"


def test_sequential_trains_all_batches_in_order():
    (rank,) = train("sequential", 1)
    assert [t["number"] for t in rank["trained"]] == list(range(UPDATES))
    assert rank["staleness"] == [0] * UPDATES
    assert rank["role"] == "both"
    assert rank["bytes_sent"] == 0


@pytest.mark.parametrize(
    ("processes", "reduction"), [(1, "auto"), (2, "messages"), (3, "shared_memory"), (5, "auto")]
)
def test_data_parallel_shares_every_batch_at_staleness_0(processes, reduction):
    """5 ranks on fewer cores too, and more ranks than a partial batch has rows."""
    ranks = train("data_parallel", processes, updates=10, reduction=reduction)
    for number in range(10):
        shares = [rank["trained"][number] for rank in ranks]
        rows = [row for share in shares for row in share["rows"]]
        assert rows == list(range(shares[0]["whole"]))
        assert {share["version"] for share in shares} == {number}
        assert all(share["oldest"] in (None, number) for share in shares)
    assert all(rank["losses"] == pytest.approx([1.0] * 10) for rank in ranks)
    assert {rank["final"] for rank in ranks} == {10}


GATHERED = joint(
    *(
        Case("sharded", processes, {"overlap": overlap, "broadcast": broadcast,
                                    "record_strength": True})
        for processes, broadcast in
        [(1, "shared_memory"), (2, "shared_memory"), (3, "messages"), (5, "shared_memory")]
        for overlap in (False, True)
    )
)  # fmt: skip


@pytest.mark.parametrize("case", GATHERED, ids=str)
def test_sharded_gathers_whole_batches_of_known_age(case):
    trainer, overlap = trained(case)[0], case.options["overlap"]
    assert [t["number"] for t in trainer["trained"]] == list(range(UPDATES))
    assert all(t["rows"] == list(range(t["whole"])) for t in trainer["trained"])
    expected = [0] + [1] * (UPDATES - 1) if overlap else [0] * UPDATES
    assert trainer["staleness"] == expected
    assert [t["version"] - t["oldest"] for t in trainer["trained"]] == expected
    made = [record[4] for record in trainer["records"]]
    assert made == pytest.approx([n - age for n, age in enumerate(expected)])
    assert trainer["final"] == UPDATES


SMALLER = joint(
    *(Case("sharded", 2, {"trainer_share": x, "overlap": True}) for x in (0.0, 0.25, 0.9))
)


@pytest.mark.parametrize("case", SMALLER, ids=str)
def test_the_trainer_may_take_a_smaller_share(case):
    trainer, other = trained(case)
    shares = [2 if number % 5 == 4 else 4 for number in range(UPDATES)]  # half of 3 or 8 rows
    assert [t["number"] for t in trainer["trained"]] == list(range(UPDATES))
    expected = sum(round(share * case.options["trainer_share"]) > 0 for share in shares)
    assert trainer["batches"] == expected
    assert other["batches"] == UPDATES


@given(
    rows=st.integers(0, 100),
    processes=st.integers(2, 20),
    share=st.floats(0, 1),
)
def test_sharded_parts_cover_every_row_once(rows, processes, share):
    strategy = Sharded(trainer_share=share)
    parts = [list(range(rows))[strategy.part(rows, processes, rank)] for rank in range(processes)]
    assert [row for part in parts for row in part] == list(range(rows))


def test_balanced_share_lets_trainer_and_generators_end_together():
    g, u, p = 0.5, 0.05, 4
    x = balanced_share(g, u, p)
    assert u + x * g / p == pytest.approx((g - x * g / p) / (p - 1))
    assert balanced_share(0.1, 1.0, 8) == 0.0
    assert balanced_share(1.0, 0.0, 8) == 1.0
    with pytest.raises(ValueError, match="generate_seconds must be above 0"):
        balanced_share(0.0, 1.0, 2)


def reduced(processes):
    overlapped = {"overlap": True, "record_strength": True}
    return joint(*(Case("data_parallel", processes, more, updates=7) for more in (overlapped, {})))


@pytest.mark.parametrize(("overlapped", "other"), [reduced(2), reduced(3)], ids=str)
def test_overlapped_reduction_reduces_the_same(overlapped, other):
    ranks = trained(overlapped)
    assert {rank["final"] for rank in ranks} == {7}
    assert [record[4] for record in ranks[0]["records"]] == pytest.approx(list(range(7)))
    plain = trained(other)
    assert ranks[0]["bytes_sent"] == plain[0]["bytes_sent"]


BEGUN = joint(
    *(
        Case(name, processes, {"start": 9})
        for name, processes in
        [("sequential", 1), ("data_parallel", 2), ("sharded", 2), ("pipeline", 3)]
    )
)  # fmt: skip


@pytest.mark.parametrize("case", BEGUN, ids=str)
def test_training_can_begin_in_the_middle(case):
    trainer = trained(case)[0]
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(9, UPDATES))
    assert trainer["final"] == UPDATES
    assert [record[0] for record in trainer["records"]] == list(range(9, UPDATES))


PIPELINED = {"messages": "packed", "receive": "completion", "assignment": "dynamic"}
ENDED = joint(
    *(
        Case(name, 3, {"start": 4, **options}, updates=4)
        for name, options in
        [("sharded", {"overlap": True}), ("data_parallel", {"overlap": True}),
         ("pipeline", PIPELINED)]
    )
)  # fmt: skip


@pytest.mark.parametrize("case", ENDED, ids=str)
def test_nothing_is_made_where_no_update_is_due(case):
    assert all(rank["attacked"] == rank["trained"] == [] for rank in trained(case))


def test_a_silent_rank_is_named():
    waiting = Waiting(spin=False, patience_seconds=0.01)
    with pytest.raises(SilentRankError, match=r"no sign for 0\.01 s of rank 3's batch 7"):
        waiting.until(lambda: False, "rank 3's batch 7")
    with pytest.raises(SilentRankError, match="rank 3"):
        Waiting(spin=True, patience_seconds=0.01).until(lambda: False, "rank 3")
