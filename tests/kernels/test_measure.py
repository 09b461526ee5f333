"""Measuring kernels: what is timed, which rows follow, what the command says."""

from __future__ import annotations

import csv
import itertools
import random
import shutil
from collections import Counter
from dataclasses import replace
from statistics import median

import pytest
import torch
from click.testing import CliRunner

from kernels.commands import cli
from kernels.declarations.kernel import Case, Kernel, Prepared, Variant
from kernels.declarations.registry import KERNELS
from kernels.machines import ceilings, curve
from kernels.machines import core_roofs as shares
from kernels.machines.caches import cores
from kernels.machines.machine import load
from kernels.machines.roof import Roof
from kernels.measure import rows as roofline_rows
from kernels.measure import sweeps
from kernels.samples import time_variants
from kernels.table import Table
from kernels.traffic.cachesim import callgrind
from kernels.traffic.traffic import Traffic, compulsory
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused import machine
from sparring.fused.machine import machine_isa

ROOF = Roof(100, {"L1": 50, "L2": 20, "DRAM": 5}, {"L1": 2**15, "L2": 2**20})
COMMON = dict.fromkeys(roofline_rows.COLUMNS)


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """The narrowest instruction set, and PyTorch's threads as they were."""
    monkeypatch.setenv(machine.ISA_VARIABLE, "generic")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def doubling(factor=2.0, most_threads=None):
    """A kernel that doubles numbers, and a variant of it that may be wrong."""

    def of(by):
        return lambda given, case: Prepared(lambda: by * given["x"], 8.0, 64.0)

    return Kernel(
        "double", lambda case, generator: {"x": torch.rand(8, generator=generator)},
        lambda given: (2 * given["x"],), lambda case: 8.0, lambda case: 64.0,
        {"right": Variant(of(2.0)), "other": Variant(of(factor), most_threads=most_threads)},
    )  # fmt: skip


def timed(kernel, threads=1, ticks=None):
    clock = itertools.count().__next__ if ticks is None else iter(ticks).__next__
    return time_variants(
        kernel, ["right", "other"], Case(1, 28), threads, repetitions=3, seconds=2.0,
        order=random.Random(0), clock=clock,
    )  # fmt: skip


def test_repetitions_are_kept_and_short_calls_repeated():
    right, other = timed(doubling())
    assert right.status == other.status == "ok"
    assert right.calls == 2  # of a second each, by this clock
    assert right.seconds == [0.5] * 3
    assert right.error == 0


def test_wrong_results_are_not_timed():
    right, wrong = timed(doubling(2.01))
    assert len(right.seconds) == 3
    assert (wrong.status, wrong.seconds) == ("failed", [])
    assert "off by" in wrong.message


def test_what_cannot_use_the_threads_is_skipped():
    _, other = timed(doubling(most_threads=1), threads=2)
    assert (other.status, other.message) == ("skipped", "uses 1 thread at most")


def test_long_calls_are_repeated_less():
    ticks = itertools.accumulate(itertools.cycle([0, 100]))
    assert [len(found.seconds) for found in timed(doubling(), ticks=ticks)] == [2, 2]


def test_rows_are_tidy_and_placed():
    found = timed(doubling())[0]
    traffic = [Traffic("L2", 16.0, "cachesim"), *compulsory(64.0, ROOF)]
    rows = roofline_rows.rows(COMMON, Case(1, 28), found, 8.0, traffic, ROOF)
    assert [(row["repetition"], row["level"]) for row in rows] == [
        (r, level) for r in range(3) for level in ("L2", "L1")
    ]
    assert all(tuple(row) == roofline_rows.COLUMNS for row in rows)
    assert rows[0]["arithmetic_intensity"] == 0.5
    assert rows[0]["ceiling_gflops"] == 10
    share = 100 * rows[0]["gflops"] / rows[0]["ceiling_gflops"]
    assert rows[0]["percent_of_ceiling"] == pytest.approx(share)
    assert rows[1]["bytes_source"] == "compulsory"


def test_a_kernel_without_operations_is_placed_by_its_bytes():
    kernel = KERNELS["relu_forward"]
    found = time_variants(
        kernel, ["torch_nchw"], Case(1, 12), 1, repetitions=1, seconds=0, order=random.Random(0)
    )[0]
    (row,) = roofline_rows.rows(
        COMMON, Case(1, 12), found, 0.0, [Traffic("DRAM", 5e9, "compulsory")], ROOF
    )
    assert row["arithmetic_intensity"] is row["ceiling_gflops"] is None
    assert row["percent_of_ceiling"] == pytest.approx(100 / row["seconds"])


def test_roofs_of_one_of_many_cores():
    study = load("e5-2683v4")
    socket, core = study.roof(16), shares.of_core(study, 16)
    assert core.peak == pytest.approx(socket.peak / 16)
    assert core.bandwidth["DRAM"] == pytest.approx(76.8 / 16)
    assert core.capacity["L3"] == 40 * 2**20 // 16


def test_presets_name_kernels_that_exist():
    for preset in sweeps.PRESETS.values():
        found = list(sweeps.items(preset.sweeps))
        assert {item.kernel.name for item in found} == set(KERNELS)
        assert len({(i.kernel.name, i.case, i.threads) for i in found}) == len(found)
        assert all(i.threads == 1 for i in found if i.simulated)


def test_own_cases_replace_the_preset_s():
    own = sweeps.narrowed(sweeps.PRESETS["laptop"], [8], [], [])
    found = list(sweeps.items(own.sweeps, ["conv1_forward"], ["im2col"]))
    assert [(i.variants, i.case, i.threads) for i in found] == [(("im2col",), Case(8, 28), 1)]


@pytest.fixture
def results(tmp_path):
    """A folder with roofs of one thread."""
    rates = {("FMA", "fma"): 5e4} | {(f"L{n}", "read"): 1e5 / n for n in (1, 2, 3)}
    rows = []
    for (level, kind), rate in (rates | {("DRAM", "read"): 1e4}).items():
        row = dict.fromkeys(ceilings.COLUMNS) | {
            "run": "1", "machine": cpu_model(), "isa": machine_isa().name, "threads": 1,
            "level": level, "kind": kind, "source": "measured",
            "gflops" if level == "FMA" else "gbytes_per_second": rate,
        }  # fmt: skip
        rows.append(row)
    Table(tmp_path / "ceilings.csv", ceilings.COLUMNS).append(rows)
    Table(tmp_path / "bandwidth_curve.csv", curve.COLUMNS).append(
        dict.fromkeys(curve.COLUMNS)
        | {"run": "1", "machine": cpu_model(), "isa": machine_isa().name, "threads": 1,
           "kind": "read", "working_set_bytes": size, "gbytes_per_second": 1e4,
           "source": "measured"}
        for size in (2**15, 2**16, 2**17)
    )  # fmt: skip
    return tmp_path


def measured(results, *arguments):
    command = ["measure", "--preset", "smoke", *arguments]
    if "--bytes-source" not in arguments:
        command += ["--bytes-source", "compulsory"]
    return CliRunner().invoke(cli.main, [*command, "--results", str(results)])


def test_command_adds_rows_here_and_elsewhere(results):
    arguments = ["--kernel", "conv1", "--variant", "im2col", "--batch-size", "4",
                 "--machine", "here", "--machine", "e5-2683v4"]  # fmt: skip
    for _ in range(2):
        result = measured(results, *arguments)
        assert result.exit_code == 0, result.output
    assert "conv1_backward_input" in result.stdout
    with (results / "roofline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == roofline_rows.COLUMNS
    here = [row for row in rows if row["source"] == "measured"]
    there = [row for row in rows if row["source"] == "simulated"]
    assert len(here) == 2 * 3 * 2
    assert len(there) == 2 * 3
    assert all(float(row["seconds"]) > 0 and float(row["error"]) < 1e-3 for row in here)
    assert {row["machine"] for row in there} == {"e5-2683v4"}
    assert all(row["seconds"] == "" and row["active_cores"] == "16" for row in there)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kernel", "conv9"], "kernel 'conv9' is not known"),
        (["--variant", "fast"], "variant 'fast' is not known; expected torch_nchw"),
        (["--machine", "abacus"], "expected one of here, "),
        (["--kernel", "relu", "--variant", "im2col"], "nothing to measure"),
        (["--threads", str(len(cores()) + 1)], "fewer cores than threads"),
    ],
)
def test_mistakes_are_one_sentence(results, arguments, message):
    result = measured(results, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_without_roofs_they_are_measured(monkeypatch, tmp_path, results):
    asked = []

    def measure(threads, isa, *, add, add_to_curve, **others):
        asked.extend(threads)
        for row in Table(results / "bandwidth_curve.csv", curve.COLUMNS).rows():
            add_to_curve(row)
        for row in Table(results / "ceilings.csv", ceilings.COLUMNS).rows():
            add(row)

    monkeypatch.setattr(ceilings, "measure", measure)
    for _ in range(2):
        result = measured(tmp_path / "other", "--kernel", "relu")
        assert result.exit_code == 0, result.output
    assert asked == [1]


def test_without_valgrind_what_was_measured_is_kept_with_compulsory_bytes(monkeypatch, results):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    callgrind.version.cache_clear()
    result = measured(
        results, "--bytes-source", "cachesim", "--kernel", "relu_forward", "--batch-size", "2",
        "--machine", "here", "--machine", "e5-2683v4",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Valgrind is not installed" in result.stderr
    with (results / "roofline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["bytes_source"] for row in rows} == {"compulsory"}
    assert {row["source"] for row in rows} == {"measured", "simulated"}


def test_a_variant_that_cannot_be_made_is_skipped_with_the_reason():
    def prepare(given, case):
        raise SparringError("no C++ compiler found")

    kernel = doubling()
    broken = replace(kernel, variants={**kernel.variants, "other": Variant(prepare)})
    right, other = timed(broken)
    assert len(right.seconds) == 3
    assert (other.status, other.message) == ("skipped", "no C++ compiler found")


def point(**changes):
    return {
        "kernel": "relu_forward", "variant": "torch_nchw", "level": "L2", "gflops": None,
        "percent_of_ceiling": None, **changes,
    }  # fmt: skip


def test_a_point_above_its_roof_by_more_than_both_intervals_is_told():
    over = replace(ROOF, spread={"FMA": 0.1, "L2": 0.2})
    assert not shares.doubts([point(gflops=109.0), point(gflops=150.0)], over)
    assert shares.doubts([point(gflops=112.0), point(gflops=150.0)], over) == [
        "relu_forward (torch_nchw) reached 112 to 150 % of its roof, the peak"
    ]
    assert not shares.doubts([point(percent_of_ceiling=119.0)], over)
    (sentence,) = shares.doubts([point(percent_of_ceiling=121.0)], over)
    assert "relu_forward (torch_nchw) reached 121 to 121 % of its roof, L2" in sentence
    # What is drawn is the median: such a point is measured again before it is called wrong.
    high = [point(gflops=100.0), point(gflops=150.0), point(gflops=150.0)]
    assert not shares.doubts(high, over)
    (above,) = shares.above(high, over, None, median)
    assert above.roof == "FMA"
    # Another level is another point.
    rows = [point(percent_of_ceiling=121.0), point(percent_of_ceiling=10.0, level="L1")]
    assert len(shares.doubts(rows, over)) == 1


@pytest.fixture
def low_roofs(results):
    """Bandwidths that any kernel surpasses; how many samples there are."""
    rows = Table(results / "ceilings.csv", ceilings.COLUMNS).rows()
    (results / "ceilings.csv").unlink()
    Table(results / "ceilings.csv", ceilings.COLUMNS).append(
        row
        | ({"gbytes_per_second": 1e-3, "working_set_bytes": 2**15}
           if row["gbytes_per_second"] else {})
        for row in rows
    )  # fmt: skip
    return len(rows)


def test_a_roof_that_a_point_surpasses_gets_more_samples(results, low_roofs):
    result = measured(results, "--kernel", "relu_forward", "--batch-size", "2")
    assert "cases lie above their roof: taking more samples of them and the roofs" in result.stderr
    rows = Table(results / "ceilings.csv", ceilings.COLUMNS).rows()
    new = rows[low_roofs:]
    assert {row["run"] for row in new} == {rows[0]["run"]}
    points = Table(results / "roofline.csv", roofline_rows.COLUMNS).rows()
    assert max(Counter(row["level"] for row in points).values()) == 4  # twice two repetitions
    assert min(float(row["gbytes_per_second"]) for row in new if row["gbytes_per_second"]) > 0.01


def test_measuring_fails_where_a_point_lies_above_its_roof(results, low_roofs, monkeypatch):
    monkeypatch.setattr(ceilings, "measure_again", lambda *rows, **others: None)
    result = measured(results, "--kernel", "relu_forward", "--batch-size", "2")
    assert result.exit_code == 2
    assert "above its roof: relu_forward (torch_nchw, 2, 28)" in result.stderr
    assert "points lie above their roof" in result.stderr
    assert len((results / "roofline.csv").read_text().splitlines()) > 1  # nothing is lost


def test_list_shows_all_kernels():
    result = CliRunner().invoke(cli.main, ["list"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in KERNELS)
