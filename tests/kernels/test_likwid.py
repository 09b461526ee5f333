"""The LIKWID path without counters: output in its documented format, and what is said without."""

from pathlib import Path

import pytest

from kernels.traffic.likwid import tools as likwid_tools
from kernels.traffic.likwid.bench import compare, measure
from kernels.traffic.likwid.count import Counted, Session, counted, difference, volume_factor
from kernels.traffic.likwid.events import amount
from kernels.traffic.likwid.output import parse
from kernels.traffic.likwid.tools import NoCountersError, Tools, probe
from kernels.traffic.traffic import Traffic
from sparring.errors import SparringError

RECORDINGS = Path(__file__).parent / "recordings"
GROUPS = {
    "FLOPS_SP": "FP_ARITH_INST_RETIRED_256B_PACKED_SINGLE", "L2": "L1D_REPLACEMENT",
    "L3": "L2_LINES_IN_ALL", "MEM": "CAS_COUNT_RD",
}  # fmt: skip


def output(group, value):
    return (f"TABLE,Group 1 Raw,{group},1,\nEvent,Counter,HWThread 0,\n"
            f"{GROUPS[group]},PMC0,{value},\n")  # fmt: skip


def counter(per_call, start=1000):
    """Counts as likwid-perfctr would: a start, and so many events for each call."""

    def count(group, command):
        return output(group, start + per_call[group] * int(command[-1]))

    return count


def child(calls):
    return ["kernel", str(calls)]


def test_memory_channels_of_all_sockets_are_added_and_absent_ones_left_out():
    [counts] = parse((RECORDINGS / "likwid_perfctr_mem.csv").read_text())
    assert (counts.region, counts.group) == (None, "MEM")
    assert counts.of("CAS_COUNT_RD") == 1000 + 10 + 2000 + 20
    assert ("CAS_COUNT_RD", "MBOX2C0") not in counts.events
    assert amount(counts) == 64 * (1010 + 404 + 2020 + 606)


def test_region_counts_operations_by_width():
    [counts] = parse((RECORDINGS / "likwid_perfctr_region.csv").read_text())
    assert counts.region == "conv2"
    assert amount(counts) == 4 * 10 + 5 + 8 * 1e6


def test_older_heading_with_cores_is_read():
    assert parse(output("L2", 7).replace("HWThread", "Core"))[0].of("L1D_REPLACEMENT") == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table of counters"),
        ("TABLE,Group 1 Raw,L2,2,\nEvent,Counter,HWThread 0,\nA,PMC0,1,\n", "cut short"),
        ("TABLE,Group 1 Raw,L2,1,\nA,PMC0,1,\n", "no heading"),
        ("TABLE,Group 1 Raw,L2,many,\n", "no number of events"),
    ],
)
def test_other_output_is_refused_in_a_sentence(text, said):
    with pytest.raises(SparringError, match=said):
        parse(text)


def test_difference_of_n_and_2n_calls_drops_the_start():
    count = counter({"FLOPS_SP": 100, "L2": 50, "L3": 20, "MEM": 10})
    found = counted(count, child, 8, 0.5)
    traffic = tuple(
        Traffic(level, float(value), "likwid")
        for level, value in (("L2", 50 * 64), ("L3", 20 * 64), ("DRAM", 10 * 64 / 2))
    )
    assert found == Counted(800.0, traffic)


def test_fewer_events_for_more_calls_are_refused():
    with pytest.raises(SparringError, match="too few calls"):
        difference(counter({"L2": -1}), "L2", child, 4)


def test_group_without_known_events_counts_nothing():
    def count(group, command):
        return output(group, 1).replace("L1D_REPLACEMENT", "OTHER")

    assert difference(count, "L2", child, 4) is None


@pytest.mark.parametrize(("times", "factor", "said"), [(1.02, 1.0, "as it is"), (2, 0.5, "halved")])
def test_known_volume_tells_whether_memory_counts_double(times, factor, said):
    told = []
    count = counter({"MEM": times * 1000})
    assert volume_factor(count, child, 64_000, 10, told.append) == factor
    assert said in told[0]


def test_strange_volume_leaves_memory_out():
    told = []
    lines = Session.VOLUME // 64
    count = counter({"FLOPS_SP": 1, "L2": 5, "L3": 2, "MEM": 5 * lines})
    session = Session(Tools({}, None, False), 0, told.append, count)
    assert "main memory is left out" in told[0]
    levels = [found.level for found in session.kernel("conv1", "x", 1, 28, 4).traffic]
    assert levels == ["L2", "L3"]


def runner(answers):
    def run(command):
        for words, answer in answers.items():
            if words in " ".join(command):
                return answer
        return 1, ""

    return run


def test_absent_likwid_is_one_sentence_with_the_next_best_source():
    tools = probe(run=runner({}), which=lambda tool: None)
    assert tools.refusal.count("\n") == 0
    assert "not installed; bytes are simulated (cachesim) or compulsory" in tools.refusal
    with pytest.raises(NoCountersError, match="not installed"):
        tools.counting()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({" -i": (0, "CPU type:\tnil\n")}, "does not know this processor"),
        (
            {"-g": (1, "ERROR - [./src/access_client.c:210] No such file or directory\nExiting")},
            "no hardware counters: No such file or directory; bytes",
        ),
        ({"-g": (124, "")}, "likwid-perfctr ended with 124"),
    ],
)
def test_unreadable_counters_are_one_sentence(answers, said):
    refusal = probe(run=runner(answers), which=str).refusal
    assert said in refusal
    assert "\n" not in refusal


def test_readable_counters_are_found():
    answers = {" -i": (0, "CPU type:\tIntel Xeon Broadwell EN/EP/EX processor"),
               "-g": (0, output("FLOPS_SP", 1)), "pylikwid": (0, "2100000000\n")}  # fmt: skip
    tools = probe(run=runner(answers), which=str)
    assert (tools.refusal, tools.pylikwid, tools.counting()) == (None, True, "likwid-perfctr")


def test_pylikwid_that_aborts_is_only_absent():
    def run(command):
        if "-c" in command:
            return likwid_tools.said([command[0], "-c", "import os; os.abort()"])
        return 1, ""

    assert not probe(run=run, which=lambda tool: None).pylikwid


BENCH = "Time:\t\t\t1.0 sec\nMFlops/s:\t\t58641.80\nMByte/s:\t\t130225.08\n"


def test_likwid_bench_is_read_in_our_units():
    run = runner({"-t load_avx -w S0:24kB:2": (0, BENCH)})
    assert measure("likwid-bench", "load_avx", 24, 2, "gbytes_per_second", run) == 130.22508


def test_comparison_keeps_the_best_of_ours_and_tells_of_what_fails():
    def row(level, kind, rate, size=None):
        return {"threads": 1, "level": level, "kind": kind, "working_set_bytes": size,
                "gflops": rate if level == "FMA" else None,
                "gbytes_per_second": None if level == "FMA" else rate}  # fmt: skip

    rows = [row("FMA", "fma", 60.0), row("FMA", "fma", 70.0), row("FMA", "sgemm", 99.0),
            row("L1", "read", 140.0, 16384)]  # fmt: skip
    told = []
    run = runner({"peakflops_sp_avx_fma": (0, BENCH), "load_avx": (1, "no such thing")})
    fma, read = compare(rows, "avx2", "likwid-bench", told.append, run)
    assert (fma.ours, fma.theirs) == (70.0, 58.6418)
    assert (read.ours, read.theirs) == (140.0, None)
    assert told == [
        "likwid-bench, round 1 of 2",
        "likwid-bench -t load_avx, 1 threads: no such thing",
        "likwid-bench, round 2 of 2",
    ]
