"""Strategies on real MPI ranks, driving a compute that only does bookkeeping."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import SparringError
from sparring.strategies import STRATEGIES, Pipeline, RankLog, Sequential
from sparring.strategies.base import shard
from sparring.strategies.waiting import Waiting
from tests.mpi import run_ranks

PROGRAM = str(Path(__file__).with_name("strategy_ranks.py"))
UPDATES = 23


def train(name, processes, slow_rank=-1, updates=UPDATES, **options):
    """What each rank did, by rank."""
    text = run_ranks(processes, [PROGRAM, name, json.dumps(options), str(updates), str(slow_rank)])
    return json.loads(text.split("FACTS", 1)[1].splitlines()[0])


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
    Waiting(spin=False).until(lambda: next(answers))
    assert next(answers, "asked no further") == "asked no further"


def test_sequential_trains_all_batches_in_order():
    (rank,) = train("sequential", 1)
    assert [t["number"] for t in rank["trained"]] == list(range(UPDATES))
    assert rank["staleness"] == [0] * UPDATES
    assert rank["role"] == "both"
    assert rank["bytes_sent"] == 0


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_data_parallel_shares_every_batch_at_staleness_0(processes):
    """5 ranks on fewer cores too, and more ranks than a partial batch has rows."""
    ranks = train("data_parallel", processes, updates=10)
    for number in range(10):
        shares = [rank["trained"][number] for rank in ranks]
        rows = [row for share in shares for row in share["rows"]]
        assert rows == list(range(shares[0]["whole"]))
        assert {share["version"] for share in shares} == {number}
        assert all(share["oldest"] in (None, number) for share in shares)
    assert all(rank["losses"] == pytest.approx([1.0] * 10) for rank in ranks)
    assert {rank["final"] for rank in ranks} == {10}


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("options", [{}, {"receive_interval": 4, "send_interval": 3}])
def test_pipeline_trains_every_batch_once_as_what_it_is(processes, options):
    trainer, *generators = train("pipeline", processes, **options)
    numbers = [t["number"] for t in trainer["trained"]]
    assert sorted(numbers) == list(range(UPDATES))
    for batch in trainer["trained"]:  # partial ones included: no row is trained twice
        assert batch["rows"] == list(range(batch["whole"]))
    for rank, generator in enumerate(generators, start=1):
        assert generator["attacked"] == list(range(rank - 1, UPDATES, processes - 1))
        assert generator["role"] == "generator"
    assert trainer["final"] == UPDATES
    assert trainer["role"] == "trainer"


def test_pipeline_reports_the_staleness_that_the_batches_really_had():
    trainer, *_ = train("pipeline", 3, slow_rank=2)
    real = [t["version"] - t["oldest"] for t in trainer["trained"]]
    assert trainer["staleness"] == real
    assert max(real) >= 1  # the first two batches are made from the initial weights


def test_a_slow_generator_gets_the_newest_weights_and_no_queue_of_old_ones():
    trainer, _, slow = train("pipeline", 3, slow_rank=2)
    written = slow["versions_written"]
    assert written == sorted(set(written))
    # Were every version queued for it, it would have to read all of them.
    assert len(written) <= slow["batches"] * 4
    sent = trainer["bytes_sent"]
    received = sum(rank["bytes_received"] for rank in (_, slow))
    assert sent == received  # nothing is left in flight


def test_send_interval_sends_only_so_often():
    every = train("pipeline", 2, send_interval=1)[0]
    seldom = train("pipeline", 2, send_interval=8)[0]
    assert seldom["bytes_sent"] <= UPDATES // 8 * (4 * 100_000 + 8)
    assert every["bytes_sent"] > seldom["bytes_sent"]


@pytest.mark.parametrize(("name", "processes"), [("sequential", 2), ("pipeline", 1)])
def test_a_wrong_number_of_processes_is_refused_in_a_sentence(name, processes):
    with pytest.raises(SparringError, match=f"strategy '{name}' needs .* not {processes}"):
        STRATEGIES[name]().check(processes)


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="receive_interval must be at least 1, not 0"):
        Pipeline(receive_interval=0)
    assert Sequential().check(1) is None
