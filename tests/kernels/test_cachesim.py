"""Simulated traffic: geometry, Callgrind's output, and one small kernel whose traffic is known."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from kernels.declarations.kernel import Case
from kernels.machines.machine import load
from kernels.traffic.cachesim import callgrind
from kernels.traffic.cachesim import simulate as cachesim
from kernels.traffic.cachesim.passes import adapted, passes
from kernels.traffic.cachesim.simulate import Wanted

STUDY = load("e5-2683v4")
DUMP = """# callgrind format
version: 1
desc: LL cache: 32768 B, 64 B, 8-way associative
desc: Trigger: {trigger}
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw ILdmr DLdmr DLdmw
summary: 1 1 1 1 1 1 1 1 1 1 1 1
totals: 900 500 300 9 80 70 8 {reads} 20 1 2 3
"""


def test_passes_of_the_study_s_node():
    found = passes(STUDY, 16)
    assert [one.level for one in found] == ["L2", "L3", "DRAM"]
    assert [str(one.last) for one in found] == ["32768,8,64", "262144,8,64", "2621440,20,64"]
    assert [str(one.first) for one in found] == ["128,1,64", "32768,8,64", "32768,8,64"]
    assert str(passes(STUDY, 1)[-1].last) == "41943040,20,64"


def test_shares_that_are_no_legal_cache_are_told():
    assert adapted(STUDY, 16) == []
    (line,) = adapted(STUDY, 12)
    assert line.startswith("L3 of e5-2683v4: 2560 KiB are simulated for a share of 3413.33 KiB")


def test_output_is_read(tmp_path):
    (tmp_path / "out.1").write_text(DUMP.format(trigger="Client Request: nothing", reads=10))
    (tmp_path / "out.2").write_text(DUMP.format(trigger="Client Request: 0", reads=110))
    (tmp_path / "out").write_text(DUMP.format(trigger="Program termination", reads=5))
    found = callgrind.counts(tmp_path)
    assert set(found) == {"nothing", "0"}
    empty = found["nothing"] | dict.fromkeys((*callgrind.FILLS, *callgrind.WRITE_BACKS), 0)
    assert cachesim._amounts(found["0"], empty, 2, 64) == {
        "fills": 130 * 32, "write_backs": 6 * 32, "bytes": 136 * 32,
    }  # fmt: skip
    assert cachesim._amounts(found["0"], found["nothing"], 2, 64)["bytes"] == 100 * 32


def test_without_valgrind_it_is_one_sentence(monkeypatch, tmp_path):
    callgrind.version.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(callgrind.NoValgrindError, match="Valgrind is not installed"):
        cachesim.simulate([], STUDY, 16, tmp_path, print)


def test_what_was_simulated_is_read_again(monkeypatch, tmp_path):
    wanted = [Wanted("relu_forward", "torch_nchw", Case(1, 28))]
    runs = []

    def run(one, items, ready, control, calls):
        runs.append(one.level)
        return [{"flops": 0.0, "error": 0.0, "message": "", "bytes": 64.0 * len(runs)}]

    monkeypatch.setattr(cachesim, "_run", run)
    monkeypatch.setattr(cachesim, "_prepared", lambda items, folder: folder / "ready.pt")
    monkeypatch.setattr(callgrind, "version", lambda: "valgrind-3.19.0")
    monkeypatch.setattr(callgrind, "control_library", lambda: None)
    first = cachesim.simulate(wanted, STUDY, 16, tmp_path, print)
    assert cachesim.simulate(wanted, STUDY, 16, tmp_path, print) == first
    assert sorted(runs) == ["DRAM", "L2", "L3"]
    assert [found.level for found in first[wanted[0]].traffic] == ["L2", "L3", "DRAM"]
    cachesim.simulate(wanted, STUDY, 1, tmp_path, print)
    assert len(runs) == 4  # only the share of L3 is another


PROGRAM = """
import ctypes, sys
control = ctypes.CDLL(sys.argv[1])
size = 2**20
source, target = (ctypes.create_string_buffer(size) for _ in range(2))
def copy(): ctypes.memmove(target, source, size)
control.control_begin()
for name, run in ((b"nothing", lambda: None), (b"copy", copy)):
    run()
    control.control_zero()
    run()
    control.control_dump(name)
control.control_end()
"""


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="Valgrind is not installed")
def test_traffic_of_a_copy_by_hand(tmp_path):
    """Beyond a cache of 256 KiB, a copy of 1 MiB reads 1, fetches 1 to write it, writes 1 back."""
    try:
        control = callgrind.control_library()
    except callgrind.NoValgrindError as error:
        pytest.skip(str(error))
    (tmp_path / "counts").mkdir()
    one = passes(STUDY, 16)[1]
    command = [*callgrind.command(one, tmp_path / "counts" / "out"), sys.executable, "-c", PROGRAM]
    subprocess.run([*command, str(control)], check=True, timeout=120)
    found = callgrind.counts(tmp_path / "counts")
    amounts = cachesim._amounts(found["copy"], found["nothing"], 1, 64)
    assert amounts["fills"] == pytest.approx(2 * 2**20, rel=0.02)
    assert amounts["write_backs"] == pytest.approx(2**20, rel=0.02)
