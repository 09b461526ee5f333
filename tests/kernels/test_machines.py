"""Machines as data."""

import csv

import pytest
from click.testing import CliRunner

from kernels.commands.cli import main
from kernels.machines import table as machine_table
from kernels.machines.machine import FOLDER, load, names
from kernels.machines.this_machine import here
from sparring.errors import SparringError

XEON = load("e5-2683v4")


@pytest.fixture
def folder(tmp_path):
    def write(change):
        text = (FOLDER / "e5-2683v4.toml").read_text()
        (tmp_path / "mine.toml").write_text(change(text))
        return tmp_path

    return write


def test_theoretical_roofs_by_hand():
    core = XEON.roof(1)
    assert core.peak == pytest.approx(2 * 8 * 2 * 2.1)  # units, lanes, a multiply-add, GHz
    assert XEON.roof(32).peak == pytest.approx(2150.4)
    assert XEON.roof(16, "turbo").peak == pytest.approx(1331.2)
    assert XEON.roof(16).bandwidth["DRAM"] == pytest.approx(4 * 8 * 2.4)
    assert XEON.roof(17).bandwidth["DRAM"] == pytest.approx(2 * 76.8)
    assert core.bandwidth["L1"] == pytest.approx((2 * 32 + 32) * 2.1)
    assert core.level(300_000) == "L3"


def test_extents_and_shares():
    assert XEON.extents == {"core": 1, "socket": 16, "machine": 32}
    assert XEON.cache(3).share(16) == 40 * 2**20 // 16
    assert XEON.cache(3).share(1) == 40 * 2**20
    assert XEON.cache(2).share(16) == 256 * 2**10
    assert XEON.cache(3).share(3) == 10 * 2**20  # sets stay a power of two


def test_here_has_this_machines_caches():
    machine = here()
    assert load("here") == machine
    assert machine.caches[0].ways * machine.caches[0].line <= machine.caches[0].bytes
    assert machine.roof(1) is None


def test_unknown_name_lists_those_that_exist():
    with pytest.raises(SparringError, match="'e5' is not known; expected one of here, e5-2683v4"):
        load("e5")


def test_unknown_clock_and_too_many_cores_are_refused():
    with pytest.raises(SparringError, match="no clock 'avx'; it has base, turbo"):
        XEON.roof(1, "avx")
    with pytest.raises(SparringError, match="has 32 cores, not 33"):
        XEON.roof(33)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ways = 20", "way = 20", r"mine.toml: key 'caches.3.ways' is missing"),
        ("sockets = 2", 'sockets = "two"', "key 'sockets' is 'two'; expected a valid integer"),
        ("ghz = 2.6", "ghz = -1.0", "key 'clocks.2.ghz' is -1.0; expected greater than 0"),
        ("sockets = 2", 'sockets = "2"', "key 'sockets' is '2'; expected a valid integer"),
        ("sockets = 2", "sockets = 2\nnodes = 1", "unknown key 'nodes'"),
        ("sockets = 2", "sockets = ", "is not TOML"),
    ],
)
def test_faults_are_one_sentence_with_file_and_key(folder, old, new, said):
    place = folder(lambda text: text.replace(old, new, 1))
    with pytest.raises(SparringError, match=said) as caught:
        load("mine", place)
    assert "\n" not in str(caught.value)


def test_measured_roofs_stand_apart(folder):
    place = folder(lambda text: text + '\n[[measured]]\nthreads = 16\nlevel = "DRAM"\n'
                                       'gbytes_per_second = 60.5\nsource = "STREAM"\n')  # fmt: skip
    assert names(place) == ["here", "mine"]
    rows = machine_table.rows(load("mine", place))
    [measured] = [row for row in rows if row["source"] == "measured"]
    assert (measured["gbytes_per_second"], measured["reference"]) == (60.5, "STREAM")
    assert load("mine", place).roof(16).bandwidth["DRAM"] == pytest.approx(76.8)


def test_command_writes_the_table_and_refuses_unknown_names(tmp_path):
    path = tmp_path / "machines.csv"
    done = CliRunner().invoke(main, ["machines", "--csv", str(path)])
    assert done.exit_code == 0
    assert "2,150.4" in CliRunner().invoke(main, ["machines", "e5-2683v4"]).output
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == machine_table.COLUMNS
    assert len(rows) == 3 * 2 * 6  # extents, clocks, levels with two peaks
    assert {row["source"] for row in rows} == {"theoretical"}
    assert CliRunner().invoke(main, ["machines", "nowhere"]).exit_code == 2
