"""Times by the Execution-Cache-Memory model: pieces of code, ports, parts, the command."""

from __future__ import annotations

import os
import struct
from importlib.resources import files

import pytest
from click.testing import CliRunner

from kernels.commands import cli
from kernels.declarations.kernel import Case
from kernels.machines.machine import load
from kernels.machines.roof import Roof
from kernels.prediction import mca, table, timing
from kernels.prediction.architecture import ARCHITECTURES, named, of_here
from kernels.prediction.calibration import MESSAGES, of_predictions
from kernels.prediction.code import GENERATED, Code, Piece, Ran, counts, followed, pieces, without
from kernels.prediction.ecm import Link, combined, predict
from kernels.prediction.incore import Analyser, bound
from kernels.traffic.cachesim.simulate import Wanted
from kernels.traffic.traffic import Traffic
from sparring.errors import SparringError
from sparring.fused.machine import ISA_VARIABLE
from sparring.modelling.calibration.calibration import load as calibration
from sparring.modelling.calibration.files import keep

BDW = named("bdw")
DUMP = """# callgrind format
desc: Trigger: Client Request: 0
positions: instr
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw Bc Bcm Bi Bim

ob=???
fl=???
fn=loop
0x1000 1
0x1003 {rounds}
0x1008 {rounds} 50 0 2 7 1 0 3 0 100 5 0 1
jcnd={taken}/{rounds} 0x1003
0x1008
cob=/lib/other.so
cfn=called
calls=1 0x50
0x100a 777
0x100a 1
"""
#: xor eax, eax; vfmadd231ps ymm1, ymm2, ymm3; jne back to it; ret
BYTES = bytes.fromhex("4831c0c4e26db8cb75f9c3")


@pytest.fixture
def captured(tmp_path):
    (tmp_path / "1000.code").write_bytes(BYTES)
    dump = tmp_path / "out.1"
    dump.write_text(DUMP.format(rounds=100, taken=97))
    return counts(dump), Code(tmp_path)


def test_pieces_are_what_ran_equally_often(captured):
    counted, code = captured
    assert counted == {
        (GENERATED, 0x1000): Ran(1), (GENERATED, 0x1003): Ran(100),
        (GENERATED, 0x1008): Ran(100, 6, fetches=2, l1_misses=8, l2_misses=3, taken=97),
        (GENERATED, 0x100A): Ran(1),
    }  # fmt: skip  # what the callee did is none of it
    loop, *others = pieces(counted, code)
    assert loop.count == 100
    assert loop.loops
    assert (loop.mispredicted, loop.fetches, loop.l1_misses, loop.l2_misses) == (6, 2, 8, 3)
    assert loop.lines == ("vfmadd231ps %ymm3, %ymm2, %ymm1", "jne .L1")
    assert {piece.lines for piece in others} == {("xorq %rax, %rax",), ("retq",)}
    assert not any(piece.loops for piece in others)


@pytest.mark.parametrize(
    ("times", "taken", "rounds_follow"),
    [
        (3200, 3100, True),  # 32 rounds, a hundred times
        (3400, 3300, False),  # more than are followed
        (3100, 3001, False),  # not equally many rounds each time
        (100, 100, False),  # it never ends
    ],
)
def test_the_end_of_a_short_regular_loop_is_predicted(tmp_path, times, taken, rounds_follow):
    (tmp_path / "1000.code").write_bytes(BYTES)
    key, end = (GENERATED, 0x1003), (GENERATED, 0x1008)
    ran = {key: Ran(times), end: Ran(times, mispredicted=50, taken=taken)}
    (loop,) = pieces(ran, Code(tmp_path))
    assert loop.mispredicted == (0 if rounds_follow else 50)


def test_branches_inside_a_loop_fill_the_history():
    assert followed(Ran(100, 5, taken=90), 90 + 230)
    assert not followed(Ran(100, 5, taken=90), 90 + 231)


def test_calling_nothing_is_taken_away(captured):
    counted, _ = captured
    nothing = {(GENERATED, 0x1000): Ran(1), (GENERATED, 0x1003): Ran(40, fetches=1)}
    left = without(counted, nothing)
    assert left == {
        (GENERATED, 0x1003): Ran(60), (GENERATED, 0x1008): Ran(100, 6, 2, 8, 3, 97),
        (GENERATED, 0x100A): Ran(1),
    }  # fmt: skip


def test_code_of_an_object_file_is_read_by_its_segments(tmp_path):
    path = tmp_path / "some.so"
    header = b"\x7fELF\x02\x01" + bytes(26) + struct.pack("<Q", 64) + bytes(14)
    header += struct.pack("<HH", 56, 1)
    header = header.ljust(64, b"\0")
    segment = struct.pack("<IIQQQQQQ", 1, 5, 120, 0x4000, 0x4000, len(BYTES), len(BYTES), 16)
    path.write_bytes(header + segment + BYTES)
    code = Code(tmp_path)
    assert code.at(str(path), 0x4003)[:5] == BYTES[3:8]
    assert code.at(str(path), 0x5000) == b""


def test_no_processor_mispredicts_what_valgrind_makes_a_loop_of(tmp_path):
    (tmp_path / "1000.code").write_bytes(bytes.fromhex("f348ab"))  # rep stosq
    (one,) = pieces({(GENERATED, 0x1000): Ran(100, mispredicted=9, l1_misses=4)}, Code(tmp_path))
    assert (one.mispredicted, one.l1_misses) == (0, 4)


def test_unknown_bytes_and_foreign_files_are_errors(tmp_path):
    with pytest.raises(SparringError, match="cannot be read from their files"):
        pieces({(GENERATED, 0x1000): Ran(5)}, Code(tmp_path))
    (tmp_path / "out").write_text("hello\n")
    with pytest.raises(SparringError, match="no instructions are counted"):
        counts(tmp_path / "out")


def test_ports_take_the_least_time_that_any_assignment_needs():
    def uop(cycles, ports):
        return (float(cycles), frozenset(ports))

    assert bound((uop(1, "01"), uop(1, "01"), uop(1, "01"))) == 1.5
    assert bound((uop(1, "0"), uop(1, "0"), uop(1, "01"))) == 2
    # Three kinds that only together fill their three ports.
    assert bound((uop(2, "01"), uop(2, "12"), uop(2, "02"))) == 2
    assert bound(()) == 0


def piece(*lines, count=1.0, loops=True):
    return Piece("x", 0, count, lines, loops)


def test_a_loop_of_multiply_adds_is_bound_by_its_two_ports_or_its_chain():
    analyser = Analyser(BDW)
    independent = [f"vfmadd231ps %ymm15, %ymm14, %ymm{n}" for n in range(12)]
    found = analyser.analyse(piece(*independent, "decq %rax", "jne .L1"))
    assert found.overlapping == 6  # 12 on ports 0 and 1; chains of 5 cycles are hidden
    assert found.chain == 5
    assert found.missing == ()
    one = analyser.analyse(piece("vfmadd231ps %ymm15, %ymm14, %ymm0", "decq %rax", "jne .L1"))
    assert one.overlapping == 5
    assert analyser.analyse(piece(*independent, "jne .L1"), chains=False).chain == 0


def test_loads_are_apart_where_they_do_not_overlap():
    lines = [f"vmovups {32 * n}(%rdx), %ymm{n}" for n in range(8)]
    assert Analyser(BDW).analyse(piece(*lines, loops=False)).loads == 4
    assert Analyser(named("zen3")).analyse(piece(*lines, loops=False)).loads == 0


def test_an_instruction_that_both_lack_is_named_and_nothing_predicted(monkeypatch):
    monkeypatch.setattr(mca, "operations", lambda form, architecture: None)
    analyser = Analyser(BDW)
    found = predict(
        [piece("vfmadd231ps %ymm15, %ymm14, %ymm0", "frobnicate %ymm1", count=10.0)], [], [], 2.0,
        analyser,
    )  # fmt: skip
    assert found.seconds is None
    assert found.message == "not predicted: unknown: frobnicate (50.00%)"
    row = table.row(Wanted("k", "v", Case(1, 28)), found, 1e6, [1.0])
    assert (row["status"], row["seconds"], row["error_percent"]) == ("not predicted", None, None)
    assert row["source"] == "predicted"


def test_what_only_the_second_analyser_has_is_told(monkeypatch):
    monkeypatch.setattr(mca, "operations", lambda form, core: ((1.0, frozenset("01")),))
    found = predict([piece("frobnicate %ymm1", count=2e9)], [], [], 2.0, Analyser(BDW))
    assert found.seconds == pytest.approx(0.5)
    assert found.message == "by llvm-mca: frobnicate"


def test_the_slower_opinion_of_each_piece_counts(monkeypatch):
    slow, fast = (
        piece("vaddps %ymm1, %ymm2, %ymm3", count=1e9, loops=False),
        piece("nop", count=4e9),
    )
    monkeypatch.setattr(mca, "cycles", lambda pieces, core: {
        n: 5.0 if one.lines == slow.lines else 0.0 for n, one in enumerate(pieces)
    })  # fmt: skip
    found = predict([slow, fast], [], [], 1.0, Analyser(BDW))
    assert found.throughput == pytest.approx(1 + 1)  # an addition; four of anything a cycle
    assert found.core == pytest.approx(5 + 1)
    assert found.second_opinion == pytest.approx(5)


def test_mispredicted_branches_and_missing_instructions_stall_the_core(monkeypatch):
    monkeypatch.setattr(mca, "cycles", lambda pieces, core: {})
    ran = Piece("x", 0, 4e9, ("nop",), False, mispredicted=int(1e8), fetches=int(2e8))
    found = predict([ran], [], [], 1.0, Analyser(BDW))
    assert (found.mispredicted, found.fetching) == (pytest.approx(1.6), pytest.approx(2.4))
    assert found.seconds == found.core == pytest.approx(1 + 1.6 + 2.4)
    assert found.second_opinion is None


def test_each_piece_waits_for_its_own_part_of_the_traffic(monkeypatch):
    """Two phases: one is bound by its core, the other by what it alone moves."""
    monkeypatch.setattr(mca, "cycles", lambda pieces, core: {})
    computing = piece("vaddps %ymm1, %ymm2, %ymm3", count=3e9, loops=False)
    moving = Piece("x", 9, 2e9, ("vmovups (%rax), %ymm1",), False, l1_misses=30, l2_misses=10)
    traffic, links = [Traffic("L2", 20e9, "cachesim")], [Link("L2", 10.0)]
    found = predict([computing, moving], traffic, links, 1.0, Analyser(BDW))
    assert found.seconds == pytest.approx(3 + (1 + 2))
    together = [computing, Piece("x", 9, 2e9, moving.lines, False)]  # nothing missed: shared out
    assert predict(together, traffic, links, 1.0, Analyser(BDW)).seconds < 6


def test_the_second_analyser_has_no_opinion_of_microcode(monkeypatch):
    def said(latency, rounds):
        return {
            "Name": "0", "SummaryView": {"TotalCycles": 30 + 100 * rounds},
            "InstructionInfoView": {"InstructionList": [{"Latency": latency}]},
        }  # fmt: skip

    monkeypatch.setattr(mca, "available", lambda: True)
    monkeypatch.setattr(mca, "_run", lambda regions, core, rounds: [said(100, rounds)])
    assert mca.cycles([piece("rep stosq %al, (%rdi)")], BDW) == {}
    monkeypatch.setattr(mca, "_run", lambda regions, core, rounds: [said(30, rounds)])
    assert mca.cycles([piece("divq %rcx")], BDW) == {0: 100.0}


def test_times_are_of_several_processes(monkeypatch):
    item = Wanted("relu_forward", "torch_nchw", Case(1, 28))
    runs = iter(range(1, timing.LAUNCHES + 1))
    ends = range(len(timing.LOOPS))
    monkeypatch.setattr(timing, "_launch", lambda wanted: {
        "ghz": float(n := next(runs)), "seconds": [[n, n + 0.5]], "ends": [n + end for end in ends],
    })  # fmt: skip
    found = timing.measured([item])
    assert found.ghz == (timing.LAUNCHES + 1) / 2
    assert found.seconds[item] == [n + part for n in range(1, timing.LAUNCHES + 1)
                                   for part in (0, 0.5)]  # fmt: skip
    assert list(found.ends.values()) == [1 + end for end in ends]  # noise only adds
    assert f"{timing.LOOPS[0]}: 1, {timing.LOOPS[1]}: 2" in found.said


def test_transfers_add_to_loads_on_intel_and_overlap_on_amd():
    assert combined(10, 4, [3, 2], BDW) == 10
    assert combined(10, 4, [5, 6], BDW) == 15
    assert combined(10, 4, [5, 6], named("zen3")) == 10
    assert combined(10, 4, [5, 16], named("zen3")) == 16


def test_a_prediction_has_its_parts_apart():
    lines = [f"vmovups {32 * n}(%rdx), %ymm{n}" for n in range(8)]
    traffic = [Traffic("L2", 64e9, "cachesim"), Traffic("DRAM", 10e9, "cachesim")]
    links = [Link("L2", 128.0), Link("DRAM", 10.0)]
    found = predict([piece(*lines, count=1e9, loops=False)], traffic, links, 2.0, Analyser(BDW))
    assert found.loads == pytest.approx(2)
    assert found.data == {"L2": pytest.approx(0.5), "DRAM": pytest.approx(1)}
    assert found.seconds == pytest.approx(3.5)
    row = table.row(Wanted("k", "v", Case(1, 28)), found, 7e9, [3.0, 4.0, 5.0])
    assert row["data_seconds"] == pytest.approx(1.5)
    assert row["data_l3_seconds"] is None
    assert row["gflops"] == pytest.approx(2)
    assert row["error_percent"] == pytest.approx(-12.5)


@pytest.mark.skipif(not mca.available(), reason="llvm-mca is not installed")
def test_llvm_mca_is_shown_no_chain_by_the_stack_pointer_and_no_string_instruction():
    pops = piece(*(f"popq %r{n}" for n in range(8, 16)), "retq", loops=False)
    found = mca.cycles([pops, piece("rep stosq %rax, (%rdi)")], named("icx"))
    assert found == {0: pytest.approx(9 / 2, rel=0.1)}  # two loads a cycle


def test_a_prefetch_takes_a_port_of_loads():
    assert Analyser(BDW).analyse(piece("prefetcht0 (%rsi)", "prefetcht0 64(%rsi)")).loads == 1


@pytest.mark.skipif(not mca.available(), reason="llvm-mca is not installed")
def test_llvm_mca_has_a_second_opinion_and_skips_what_it_cannot_read():
    good = piece(*[f"vfmadd231ps %ymm15, %ymm14, %ymm{n}" for n in range(12)])
    bad = piece("frobnicate %ymm1", "vaddps %ymm1, %ymm2, %ymm3")
    found = mca.cycles([good, bad], BDW)
    assert found[0] == pytest.approx(6, rel=0.2)
    assert 1 in found
    assert mca.operations("frobnicate %ymm1", BDW) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"vendor_id": "GenuineIntel", "cpu family": "6", "model": "79"}, ("bdw", True)),
        ({"vendor_id": "GenuineIntel", "cpu family": "6", "model": "85", "flags": "avx512f"},
         ("skx", True)),
        ({"vendor_id": "GenuineIntel", "cpu family": "6", "model": "167",
          "flags": "avx2 avx512f amx_tile"}, ("spr", False)),
        ({"vendor_id": "AuthenticAMD", "cpu family": "25", "model": "1"}, ("zen3", True)),
        ({"vendor_id": "AuthenticAMD", "cpu family": "25", "model": "17"}, ("zen4", True)),
    ],
)  # fmt: skip
def test_a_processor_s_core_is_known_or_the_nearest_said(fields, expected):
    core, exact = of_here(fields)
    assert (core.osaca, exact) == expected


def test_links_of_a_measured_machine_are_what_loading_leaves():
    (l2, dram) = table.links_of_roof(Roof(1, {"L1": 300, "L2": 150, "DRAM": 10}, {}))
    assert (l2.level, l2.gbytes_per_second) == ("L2", pytest.approx(300))
    assert dram.gbytes_per_second == pytest.approx(1 / (1 / 10 - 1 / 300))


def test_links_of_the_study_s_node():
    found = {link.level: link.gbytes_per_second
             for link in table.links_of_machine(load("e5-2683v4"), 16, 2.1)}  # fmt: skip
    assert found == {"L2": pytest.approx(134.4), "L3": pytest.approx(67.2),
                     "DRAM": pytest.approx(4.8)}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--machine", "nowhere"], "machine 'nowhere' is not known"),
        (["--kernel", "conv9"], "no such kernel is predicted; expected network_forward"),
        (["--machine", "e5-2683v4", "--validate"], "only `here` can be measured"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, said, monkeypatch):
    monkeypatch.setenv(ISA_VARIABLE, "generic")
    result = CliRunner().invoke(cli.main, ["predict", *arguments, "--results", str(tmp_path)])
    assert os.environ[ISA_VARIABLE] == "generic", "the command has left it as it was"
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_the_analyser_has_a_model_of_every_core():
    folder = files("osaca") / "data"
    assert [name for name in ARCHITECTURES if not (folder / f"{name}.yml").is_file()] == []


def predicted_row(kernel, seconds, batch_size=64):
    return {"kernel": kernel, "variant": "fused", "batch_size": batch_size, "active_cores": 1,
            "seconds": seconds}  # fmt: skip


def test_a_calibration_of_predicted_times_has_another_s_messages(tmp_path):
    rows = [predicted_row("attack_step", 0.0064), predicted_row("update", 0.0128)]
    made = of_predictions(rows, load("e5-2683v4"), MESSAGES, "the command")
    path = keep(made, tmp_path)
    assert path.name.startswith("e5-2683v4.study.float32.fused.")
    read = calibration(path)
    assert (read.source, read.cores_per_node) == ("predicted", 32)
    assert read.origin == "the command; 1 busy cores; messages of m4.16xlarge (reference)"
    assert read.times(64).step.median == 0.0064
    assert read.times(16).step.median == pytest.approx(0.0016)
    assert read.times(64).gradients.median == 0.0128
    assert read.within == calibration(MESSAGES).within


def test_a_calibration_has_every_batch_size_that_was_predicted():
    rows = [predicted_row("attack_step", 0.0064), predicted_row("update", 0.0128),
            predicted_row("attack_step", 0.0004, 2), predicted_row("update", 0.001, 2)]  # fmt: skip
    made = of_predictions(rows, load("e5-2683v4"), MESSAGES, "")
    assert [work.batch_size for work in made.work] == [1, 2, 64]
    assert [made.times(size).step.median for size in (1, 2, 64)] == [0.0002, 0.0004, 0.0064]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [predicted_row("attack_step", 1.0)],
        [
            *(predicted_row(name, 1.0) for name in ("attack_step", "update")),
            predicted_row("attack_step", 1.0, 2),
        ],
        [predicted_row("attack_step", 1.0), predicted_row("update", None)],
    ],
)
def test_a_calibration_needs_both_kernels_predicted(rows):
    with pytest.raises(SparringError, match="of e5-2683v4 is not predicted; expected the fused"):
        of_predictions(rows, load("e5-2683v4"), MESSAGES, "")
