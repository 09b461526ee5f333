"""The training workload on real MPI ranks and real images."""

import json
import sys

import numpy as np
import pytest
from mpi4py import MPI

from experiments.equality.command import difference, train
from experiments.equality.ranks import main
from experiments.parameters import Parameters
from experiments.training import Training
from sparring.errors import SparringError
from tests import forked

SMALL = {"updates": 3, "adversary_steps": 2, "batch_size": 16, "evaluation_images": 20}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights after 8 float64 updates, by strategy and processes; 0 updates are the initial."""
    folder = tmp_path_factory.mktemp("weights")
    common = {"updates": 8, "adversary_steps": 3, "dtype": "float64", "batch_size": 26}

    def alone(strategy, **parameters):
        chosen = {"strategy": strategy, "processes": 1, **common, **parameters}
        main(MPI.COMM_SELF, chosen, folder / "alone.npy")
        return np.load(folder / "alone.npy")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", forked.executable())
        return {
            "initial": alone("sequential", updates=0),
            "sequential": alone("sequential"),
            1: alone("data_parallel"),
            2: train("data_parallel", 2, folder, **common),
            3: train("data_parallel", 3, folder, **common),  # does not divide 26
        }


@pytest.mark.ranks
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_data_parallel_trains_the_weights_of_sequential(trained, processes):
    assert difference(trained["sequential"], trained["initial"]) > 1e-3  # it did train
    assert difference(trained[processes], trained["sequential"]) < 1e-9


def run_once(**parameters):
    workload = Training()
    workload.setup(MPI.COMM_SELF, {"strategy": "sequential", "processes": 1, **SMALL, **parameters})
    workload.prepare(False)
    workload.run()
    return workload, workload.observe(2.0)


def test_metrics_and_rank_report():
    workload, metrics = run_once()
    assert metrics["batches"] == 3
    assert metrics["images_per_second"] == 3 * 16 / 2.0
    assert metrics["staleness_max"] == 0
    assert 0 <= metrics["robust_accuracy"] <= metrics["clean_accuracy"] <= 1
    assert metrics["shard_images"] == "1 2 4 8 16"
    for name in ("shard_generate_seconds", "shard_gradients_seconds"):
        times = [float(time) for time in metrics[name].split()]
        assert len(times) == 5
        assert min(times) > 0
    report = workload.rank_report()
    assert report["role"] == "both"
    assert report["generate_seconds"] > 0 < report["update_seconds"]
    assert 0 < metrics["optimizer_seconds"] < report["update_seconds"]


def test_divergence_in_the_last_update_is_no_accuracy():
    with pytest.raises(SparringError, match="training diverged: after 1 updates, the loss of"):
        run_once(updates=1, learning_rate=1e30)


def test_every_repetition_begins_at_the_same_weights():
    workload, first = run_once()
    workload.prepare(False)
    workload.run()
    assert workload.observe(1.0)["loss"] == first["loss"]


def test_warm_ups_are_short_and_are_not_evaluated():
    workload, _ = run_once(updates=9, warmup_updates=1)
    workload.prepare(True)
    workload.run()
    metrics = workload.observe(1.0)
    assert metrics["batches"] == 1
    assert "robust_accuracy" not in metrics


@pytest.mark.parametrize("attack", ["ascent", "pgd", "pgd_l2", "fgsm"])
@pytest.mark.parametrize("normalize", [True, False])
def test_every_attack_trains(attack, normalize):
    _, metrics = run_once(attack=attack, normalize=normalize, random_start=True, updates=1)
    assert metrics["loss"] > 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"strategy": "foo"}, "parameter 'strategy': expected 'sequential'.*found 'foo'$"),
        ({"strategy": "pipelin"}, "found 'pipelin'; did you mean 'pipeline'."),
        ({"btach_size": 3}, "unknown parameter 'btach_size'; parameters are .*batch_size"),
        ({"batch_size": "big"}, "parameter 'batch_size': expected a whole number, found 'big'"),
        ({"strategy": "pipeline"}, "strategy 'pipeline' needs 2 processes or more.*not 1"),
        ({"dataset": "imagenet"}, "imagenet"),
    ],
)
def test_a_point_that_cannot_run_is_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        Training.check({"strategy": "sequential", "processes": 1, **SMALL, **wrong})
    assert "\n" not in str(refusal.value)


def test_parameters_are_plain_json():
    assert json.loads(
        json.dumps(Parameters(strategy="pipeline", processes=2, **SMALL).model_dump())
    )
    assert "torch" in sys.modules
