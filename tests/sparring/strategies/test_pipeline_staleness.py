"""Old batches: how old they are told to be, refreshed, dropped and made again."""

from __future__ import annotations

import pytest

from tests.sparring.strategies.cases import UPDATES, Case, joint, train, trained


def test_pipeline_reports_the_staleness_that_the_batches_really_had():
    trainer, *_ = train("pipeline", 3, slow_rank=2)
    real = [t["version"] - t["oldest"] for t in trainer["trained"]]
    assert trainer["staleness"] == real
    assert max(real) >= 1  # the first two batches are made from the initial weights


def test_dropped_batches_are_counted_and_made_again():
    trainer, *generators = train(
        "pipeline", 4, slow_rank=3, max_staleness=0, staleness_policy="drop"
    )
    dropped = trainer["counters"].get("batches_dropped", 0)
    given_up = sum(g["counters"].get("attacks_given_up", 0) for g in generators)
    assert dropped + given_up > 0
    assert trainer["staleness"] == [0] * UPDATES


@pytest.mark.parametrize(
    "options", [{}, {"assignment": "dynamic", "trainer_generates": True}], ids=["static", "dynamic"]
)
def test_a_policy_of_ones_own_decides_which_batches_are_made_again(options):
    """It looks at the end of attacks alone: their beginnings may be of any age."""
    trainer, *generators = train("pipeline", 4, slow_rank=3, staleness_policy="own", **options)
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(UPDATES))
    assert all(t["version"] == t["newest"] for t in trainer["trained"])
    dropped = trainer["counters"]["batches_dropped"]
    assert dropped > 0
    assert sum(rank["batches"] for rank in (trainer, *generators)) == UPDATES + dropped


def test_strength_is_told_under_the_weights_that_made_and_that_consume():
    trainer, _ = train("pipeline", 2, record_strength=True)
    for _, _, _, versions, made_loss in trainer["records"]:
        assert made_loss == versions[-1][1]  # the bookkeeping compute's loss is its version


REFRESHED = joint(
    *(
        Case(name, processes, {"record_strength": True, "refresh_steps": 2, "refresh_scale": 1.5,
                               **options})
        for name, processes, options in [
            ("pipeline", 3, {}),
            ("pipeline", 3, {"assignment": "dynamic", "trainer_generates": True}),
            ("pipeline", 4, {"max_staleness": 2, "messages": "packed", "receive": "completion"}),
            ("sharded", 1, {"overlap": True}),
            ("sharded", 3, {"overlap": True}),
            ("sharded", 5, {"overlap": True, "trainer_share": 0.0}),
        ]
    )
)  # fmt: skip


@pytest.mark.parametrize("case", REFRESHED, ids=str)
def test_a_refresh_sees_the_weights_that_its_batch_updates(case):
    ranks, name = trained(case), case.name
    trainer = ranks[0]
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(UPDATES))
    assert all(t["rows"] == list(range(t["whole"])) for t in trainer["trained"])
    assert [t["newest"] for t in trainer["trained"]] == [t["version"] for t in trainer["trained"]]
    # Age and strength stay those of the batch as it was made.
    assert trainer["staleness"] == [t["version"] - t["oldest"] for t in trainer["trained"]]
    assert max(trainer["staleness"]) > 0
    for _, _, _, versions, made_loss in trainer["records"]:
        assert made_loss == pytest.approx(versions[-1][1])
    refreshing = ranks if name == "sharded" else ranks[:1]
    for rank in refreshing:
        times = rank["batches"] if name == "sharded" else UPDATES
        assert rank["refreshed"] == [2, 1.5] * times
    assert all(rank["refreshed"] == [] for rank in ranks if rank not in refreshing)


def test_a_generator_that_makes_a_batch_again_reserves_no_further_ones():
    """A refused batch earns no grant, or a slow generator would hoard the rest of the run."""
    trainer, *_ = train("pipeline", 3, staleness_policy="every_second", assignment="dynamic")
    assert trainer["counters"]["batches_dropped"] == UPDATES
    order = [record[2] for record in trainer["records"]]
    maker = {record[1]: record[2] for record in trainer["records"]}
    # Two numbers each to begin with; from then on, whoever made an accepted batch gets the next.
    assert [maker[number] for number in range(UPDATES)] == [1, 2, 1, 2, *order[: UPDATES - 4]]
