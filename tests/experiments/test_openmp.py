"""The OpenMP study: its points, its chains, and that what it measures is checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.openmp import chains as openmp_chains
from experiments.openmp import rounds as openmp_rounds
from experiments.openmp.chains import ChainPart, Reference, bound, chains_of, matrices
from experiments.openmp.gradients import errors, within
from experiments.openmp.rounds import Together, Way, rounds
from experiments.openmp.workload import OpenMP, doubling
from harness.study import points
from harness.study.points import expand
from harness.study.study import load_study

STUDY = Path(__file__).parents[2] / "experiments" / "openmp.toml"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(openmp_rounds, "SHORTEST_SECONDS", 0.0)


@pytest.mark.parametrize("cores", [1, 2, 6, 32])
@pytest.mark.parametrize("preset", ["smoke", "laptop", "node", "paper"])
def test_every_point_can_be_run(preset, cores, monkeypatch):
    monkeypatch.setattr(points, "machine_cores", lambda: cores)
    monkeypatch.setattr(openmp_chains, "memory_bytes", lambda: 64e9)
    found = expand(load_study(STUDY, preset))
    for point in found:
        OpenMP.check(point.parameters)
        assert point.cores <= cores
    attacks = [point for point in found if point.parameters["part"] == "attack"]
    most = max(point.cores for point in attacks)
    layouts = {(point.processes, point.threads_per_process) for point in attacks}
    assert {(1, 1), (1, most), (most, 1)} <= layouts
    assert len(found) == len(attacks) + 5


def test_the_paper_preset_has_the_studys_sizes():
    found = [p.parameters for p in expand(load_study(STUDY, "paper"))]
    kinds = {(p.get("shapes"), p.get("matrices"), p.get("dimension")) for p in found}
    assert {("equal", 100, 1000), ("equal", 50000, 100), ("random", 100, 1000)} <= kinds


CHAINS = {"part": "chains", "processes": 1, "threads_per_process": 2, "rounds": 1, "seed": 0}
RANDOM = CHAINS | {"shapes": "random", "matrices": 6, "dimension": 9, "draws": 3}


@pytest.mark.parametrize(
    "parameters",
    [
        CHAINS | {"part": "chain"},
        CHAINS | {"shapes": "2 3"},
        CHAINS | {"shapes": "2 3 x"},
        CHAINS | {"shapes": "equal", "matrices": 1, "dimension": 3},
        CHAINS | {"shapes": "equal", "matrices": 9, "dimension": "3"},
        RANDOM | {"draws": 0},
        RANDOM | {"rounds": 0},
        RANDOM | {"processes": 2},
        RANDOM | {"matrices": 600},
        CHAINS | {"shapes": "equal", "matrices": 100000, "dimension": 10000},
        {"part": "gradient", "processes": 1, "rounds": 1, "batch_sizes": "1 x"},
        {"part": "attack", "processes": 2, "rounds": 1, "batch_size": 4},
    ],
)
def test_what_cannot_be_measured_is_refused(parameters):
    with pytest.raises(ValueError, match="; expected"):
        OpenMP.check(parameters)


def test_random_chains_come_again_with_their_seed():
    first = chains_of(RANDOM)
    assert first == chains_of(RANDOM)
    assert first != chains_of(RANDOM | {"seed": 1})
    assert len(set(first)) == 3
    assert all(1 <= dim <= 9 and len(chain.dims) == 7 for chain in first for dim in chain.dims)


@pytest.mark.parametrize("dims", [(100,) * 401, (50, 3) * 100 + (7,)])
def test_products_of_long_chains_stay_in_range(dims):
    """Unscaled they would be out of float32's range."""
    product = matrices(dims, 0)
    row = product[0][:1].double()
    for matrix in product[1:]:
        row = row @ matrix.double()
    assert 1e-10 < float(row.norm()) < 1e10


def test_a_wrong_product_is_seen():
    made = matrices((6, 5, 4, 7), 0)
    product = made[0] @ made[1] @ made[2]
    reference, allowed = Reference(made), bound((6, 5, 4, 7))
    assert reference.error(product) <= allowed
    product[2, 3] += 100 * allowed * product.norm()
    assert reference.error(product) > allowed


def test_chains_are_measured_in_every_way():
    rows = ChainPart(RANDOM | {"python_threads": True}, [1, 2]).measure(2, 0, warmup=False)
    names = {"sequential", "optimal", "multi_dot", "queue", "blocks", "python_blocks"}
    assert {row["method"] for row in rows} == names
    assert {row["draw"] for row in rows} == {0, 1, 2}
    for row in rows:
        assert row["error"] <= row["error_bound"]
        assert row["flops"] > 0
        between = row["method"] in ("queue", "blocks") and row["threads"] > 1
        assert ("replay_seconds" in row) == between
    # Every way once a round, in an order of its own.
    places = [(row["draw"], row["round"], row["place"]) for row in rows]
    assert len(set(places)) == len(rows) == 3 * 2 * 11
    assert len(ChainPart(RANDOM, [1]).measure(1, 0, warmup=True)) == 4  # the first draw alone


def test_a_way_that_computes_something_else_ends_the_launch(monkeypatch):
    monkeypatch.setattr(openmp_chains, "bound", lambda dims: 0.0)
    with pytest.raises(RuntimeError, match="from float64; expected at most"):
        ChainPart(RANDOM, [1]).measure(1, 0, warmup=True)


def test_a_way_that_leaves_other_threads_set_ends_the_launch():
    before = torch.get_num_threads()
    way = Way("careless", 1, lambda: torch.set_num_threads(before + 1))
    try:
        with pytest.raises(RuntimeError, match="careless left"):
            rounds([way], 1, 0)
    finally:
        torch.set_num_threads(before)


def test_the_slowest_rank_counts():
    together = Together(maximum=lambda seconds: seconds + 1000)
    (row,) = rounds([Way("any", 1, lambda: None)], 1, 0, together)
    assert row["seconds"] > 1000


def test_a_dead_unit_may_differ_in_one_image_but_not_in_half_of_them():
    expected = torch.ones(5, 1, 2, 2, dtype=torch.float64)
    found = expected.clone()
    found[0] *= 1.05
    assert within("way", errors(found, expected)) == 0
    found[:3] *= 1.05
    with pytest.raises(RuntimeError, match="way: gradients are"):
        within("way", errors(found, expected))
    found = expected.clone()
    found[0] *= 2
    with pytest.raises(RuntimeError, match="the worst"):
        within("way", errors(found, expected))


def test_counts_of_threads():
    assert [doubling(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


class One:
    """A communicator of one rank."""

    rank, size = 0, 1

    def barrier(self):
        pass

    Barrier = barrier

    def allgather(self, value):
        return [value]

    def bcast(self, value):
        return value


@pytest.mark.parametrize("part", ["gradient", "attack"])
def test_gradients_and_attacks_agree_with_float64(part):
    """Through the workload, as the harness drives it."""
    parameters = {
        "part": part, "processes": 1, "threads_per_process": 1, "rounds": 2, "seed": 0,
        "dataset": "mnist-5k", "batch_sizes": "1 2", "batch_size": 2, "adversary_steps": 2,
    }  # fmt: skip
    OpenMP.check(parameters)
    before = torch.get_num_threads()
    try:
        workload = OpenMP()
        workload.setup(One(), parameters)
        workload.prepare(warmup=True)
        few = workload.run()["measurements"]
        workload.prepare(warmup=False)
        assert workload.run() == {"measurements": 2 * few}
        rows = workload.details()
    finally:
        torch.set_num_threads(before)
    methods = {
        "gradient": {"autograd", "fused", "toeplitz_dense", "toeplitz_sparse", "explicit"},
        "attack": {"torch", "fused"},
    }[part]
    assert {row["method"] for row in rows} == methods
    assert all(row["error"] <= row.get("error_bound", 1e-4) for row in rows)
    workload.teardown()
