"""The studies that ship: every preset expands, on small and large machines."""

from pathlib import Path

import pytest

from experiments.training import Training
from harness.study import points
from harness.study.points import expand
from harness.study.study import load_study

FOLDER = Path(__file__).parents[2] / "experiments"
STUDIES = ["strong_scaling", "weak_scaling", "strategies", "staleness", "batch_norm"]
PRESETS = ["smoke", "laptop", "node", "paper"]


@pytest.fixture(params=[1, 2, 6, 32])
def cores(request, monkeypatch):
    monkeypatch.setattr(points, "machine_cores", lambda: request.param)
    return request.param


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", STUDIES)
def test_every_point_can_be_run(name, preset, cores):
    study = load_study(FOLDER / f"{name}.toml", preset)
    found = expand(study)
    assert study.name == name
    for point in found:
        data = {"dataset": "mnist-5k"}  # full MNIST is a download
        Training.check(point.parameters | data)
    fits = [p for p in found if p.cores <= cores]
    assert preset == "paper" or study.measure.oversubscribe or len(fits) == len(found)


@pytest.mark.parametrize("preset", PRESETS)
def test_strong_scaling_has_its_baseline_at_every_problem(preset, cores):
    found = expand(load_study(FOLDER / "strong_scaling.toml", preset))
    problems = {p.parameters["adversary_steps"] for p in found}
    baselines = [p for p in found if p.parameters["strategy"] == "sequential"]
    assert {p.parameters["adversary_steps"] for p in baselines} == problems
    assert all(p.processes == 1 for p in baselines)
    assert 32 in problems


def test_the_timed_region_holds_20_batches_per_generator(cores):
    for preset in ("laptop", "node"):
        found = expand(load_study(FOLDER / "strong_scaling.toml", preset))
        generators = max(p.processes for p in found) - 1
        assert all(p.parameters["updates"] >= 20 * generators for p in found)


def test_weak_scaling_has_its_baseline_at_every_size_of_every_definition(cores):
    found = expand(load_study(FOLDER / "weak_scaling.toml", "node"))
    keys = {(p.parameters["definition"], p.parameters["size"]) for p in found}
    sequential = [p for p in found if p.parameters["strategy"] == "sequential"]
    assert {(p.parameters["definition"], p.parameters["size"]) for p in sequential} == keys
    for p in found:
        size, steps = p.parameters["size"], p.parameters["adversary_steps"]
        match p.parameters["definition"]:
            case "slides":
                assert steps == size
            case "report":
                assert steps == max(1, size - 1)
            case "classical":
                assert p.parameters["batch_size"] == 64 * size
