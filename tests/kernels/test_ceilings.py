"""Roofs: what is measured, what is kept, and what kernels may attain under them."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner

from kernels.commands import cli
from kernels.machines import ceilings as roofs
from kernels.machines.caches import Cache, caches, cores
from kernels.machines.probe import STREAMS, AbsentStreamError, Probe, ProbeError
from kernels.machines.roof import Roof, roof
from kernels.table import Table
from sparring.errors import SparringError
from sparring.fused.machine import machine_isa

KIB = 1024
SMALL = (Cache(1, 16 * KIB, frozenset({0})), Cache(2, 64 * KIB, frozenset({0})))


@pytest.fixture(scope="module")
def probe():
    return Probe(machine_isa())


def test_multiply_adds_are_checked_and_counted(probe):
    cpus = cores()[:1]
    seconds, flops = probe.fma(1000, cpus)
    assert seconds > 0
    assert flops % (2 * 1000 * machine_isa().lanes) == 0
    with pytest.raises(ProbeError, match="wrong result"):
        probe.fma(3, cpus)  # has not reached its limit yet


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("size", [4 * KIB, 100_000])
def test_streams_are_checked_and_counted(probe, kind, size):
    cpus = cores()[:2]
    try:
        seconds, moved = probe.stream(kind, size, 3, cpus)
    except AbsentStreamError:
        pytest.skip("no such stores here")
    assert seconds > 0
    assert 0.9 * size < moved / 3 / len(cpus) <= size


def test_a_cpu_that_does_not_exist_is_an_error(probe):
    with pytest.raises(ProbeError, match="bind a thread"):
        probe.fma(100, [1023])
    with pytest.raises(ProbeError, match="loops could not bind a thread"):
        probe.loops(100, 8, 1023)


def test_threads_run_where_they_did_afterwards(probe):
    before = cores()
    probe.stream("read", 4 * KIB, 1, before[:1])
    assert cores() == before


def test_caches_are_read_as_linux_tells_them(tmp_path):
    def tell(index, **texts):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_text(f"{text}\n")

    tell(0, level=1, type="Data", size="48K", shared_cpu_list="0,4")
    tell(1, level=1, type="Instruction", size="32K", shared_cpu_list="0,4")
    tell(2, level=3, type="Unified", size="40M", shared_cpu_list="0-3,8-9")
    assert caches(0, tmp_path) == (
        Cache(1, 48 * KIB, frozenset({0, 4})),
        Cache(3, 40 * 2**20, frozenset({0, 1, 2, 3, 8, 9})),
    )
    with pytest.raises(SparringError, match="tells of no caches"):
        caches(7, tmp_path)


def test_every_sample_is_kept(tmp_path):
    table, shape = Table(tmp_path / "ceilings.csv", roofs.COLUMNS), []
    for _ in range(2):
        roofs.measure(
            [1], machine_isa(), rounds=2, seconds=1e-3, add=lambda row: table.append([row]),
            add_to_curve=shape.append, tell=print, product=False, levels=SMALL,
        )  # fmt: skip
    rows = table.rows()
    assert {(row["kind"], row["round"], row["threads"]) for row in shape} == {
        ("read", 0, 1), ("triad", 0, 1)
    }  # fmt: skip
    assert {row["run"] for row in rows} == {row["run"] for row in shape}
    kinds = [("FMA", "fma"), ("DRAM", "read"), ("DRAM", "triad")]
    for level, kind in kinds:
        own = [row for row in rows if (row["level"], row["kind"]) == (level, kind)]
        # Of the curve, too: one sample at the roof's working set, before the rounds.
        rounds = ["0", "1"] if level == "FMA" else ["", "0", "1"]
        assert [row["round"] for row in own] == 2 * rounds, (level, kind)
        for row in own:
            assert float(row["seconds"]) > 0
            assert float(row["gflops"] or row["gbytes_per_second"]) > 0
            assert bool(row["gflops"]) == (level == "FMA")
    levels = [row["level"] for row in rows]
    assert levels != sorted(levels)  # in random order
    curve = {row["gbytes_per_second"] for row in shape}
    assert {
        float(row["gbytes_per_second"]) for row in rows if not row["round"] and row["level"]
    } <= curve


def row(**changes):
    return {
        "run": "1", "machine": "m", "isa": "avx2", "threads": "1", "level": "L1", "kind": "read",
        "gflops": "", "gbytes_per_second": "", "source": "measured", **changes,
    }  # fmt: skip


def test_roof_is_the_best_sample_of_the_latest_whole_run():
    rows = [
        row(level="FMA", kind="fma", gflops="90"),
        row(level="DRAM", gbytes_per_second="9"),
        row(run="2", level="FMA", kind="fma", gflops="100"),
        row(run="2", level="FMA", kind="fma", gflops="120"),
        row(run="2", level="FMA", kind="sgemm", gflops="999"),
        row(run="2", gbytes_per_second="40"),
        row(run="2", kind="triad", gbytes_per_second="60"),
        row(run="2", level="DRAM", gbytes_per_second="10"),
        row(run="2", level="DRAM", kind="triad_nontemporal", gbytes_per_second="15"),
        row(run="3", level="FMA", kind="fma", gflops="500"),  # was interrupted
        row(run="4", threads="2", level="FMA", kind="fma", gflops="500"),
    ]
    capacities = {"2": {"L1": 16 * KIB}, "3": {"L1": 1}, "1": {"L1": 8 * KIB}}
    found = roof(rows, "m", "avx2", 1, capacities)
    spread = {"FMA": pytest.approx(120 / 110 - 1), "L1": 0, "DRAM": 0}
    assert found == Roof(120, {"L1": 60, "DRAM": 10}, {"L1": 16 * KIB}, spread)
    assert roof(rows, "other", "avx2", 1, capacities) is None
    del capacities["2"]  # a run without a curve does not count
    assert roof(rows, "m", "avx2", 1, capacities).peak == 90


def test_attainable_is_the_lower_of_two_roofs():
    found = Roof(100, {"L1": 50, "L2": 20, "DRAM": 5}, {"L1": 1000, "L2": 9000})
    assert [found.level(size) for size in (1000, 1001, 9001)] == ["L1", "L2", "DRAM"]
    assert found.gflops(1, "L2") == 20
    assert found.gflops(10, "L2") == 100
    assert found.seconds(1e9, 1e9, "L2") == pytest.approx(1 / 20)
    assert found.seconds(0, 5e9, "DRAM") == pytest.approx(1)


def test_command_adds_rows_and_never_replaces_them(tmp_path, monkeypatch):
    monkeypatch.setattr(roofs, "caches", lambda cpu: SMALL)
    monkeypatch.setattr(roofs, "sgemm", lambda cpus: (0.5, 1e9))
    command = ["ceilings", "--threads", "1", "--rounds", "1", "--seconds", "0.001",
               "--results", str(tmp_path)]  # fmt: skip
    for _ in range(2):
        result = CliRunner().invoke(cli.main, command)
        assert result.exit_code == 0, result.output
    assert "sgemm" in result.stdout
    with (tmp_path / "ceilings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == roofs.COLUMNS
    assert [row["gflops"] for row in rows if row["kind"] == "sgemm"] == ["2.0", "2.0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threads", "4096"], "4096 threads: this process may use"),
        (["--threads", "none"], "neither a number of threads nor 'all'"),
    ],
)
def test_wrong_threads_are_one_sentence(tmp_path, arguments, said):
    result = CliRunner().invoke(cli.main, ["ceilings", "--results", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_foreign_table_is_refused(tmp_path):
    (tmp_path / "ceilings.csv").write_text("a,b\n1,2\n")
    result = CliRunner().invoke(cli.main, ["ceilings", "--results", str(tmp_path)])
    assert result.exit_code == 2
    assert "lacks the column 'schema_version'" in result.output
    assert (tmp_path / "ceilings.csv").read_text() == "a,b\n1,2\n"
