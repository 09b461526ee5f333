"""The figure of bandwidth over the working set."""

from __future__ import annotations

import csv
import re

from plots.ceilings.figure import COLUMNS, ROOF_COLUMNS, draw, in_bytes, load
from plots.cli import main


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["schema_version", *columns])
        writer.writeheader()
        writer.writerows({"schema_version": 1, **row} for row in rows)


def tables(folder):
    common = {"machine": "m", "isa": "avx2"}
    rows = [
        {**common, "run": run, "threads": threads, "kind": kind, "working_set_bytes": size,
         "gbytes_per_second": rate * threads}
        for run in ("1", "2") for threads in (1, 2) for kind in ("read", "triad")
        for size, rate in ((2**14, 100), (2**20, 50), (2**26, 10)) for _ in range(2)
    ]  # fmt: skip
    write(folder / "bandwidth_curve.csv", COLUMNS, rows)
    roof = {**common, "run": "2", "threads": 1, "kind": "read", "level": "L2",
            "working_set_bytes": 2**20}  # fmt: skip
    write(folder / "ceilings.csv", ROOF_COLUMNS,
          [{**roof, "gbytes_per_second": rate} for rate in (40, 55)])  # fmt: skip
    return folder / "bandwidth_curve.csv"


def test_the_latest_run_is_drawn_a_panel_for_each_number_of_threads(tmp_path):
    curves = load(tables(tmp_path))
    assert curves.samples[2, "read"] == {2**14: [200, 200], 2**20: [100, 100], 2**26: [20, 20]}
    assert curves.roofs == {(1, "read", "L2"): (2**20, 55)}
    assert [axis.get_title("left") for axis in draw(curves).axes] == ["1 thread", "2 threads"]


def test_working_sets_are_told_in_units_of_1024():
    assert [in_bytes(2.0**n) for n in (4, 16, 20, 28, 33)] == [
        "16 B", "64 KiB", "1 MiB", "256 MiB", "8 GiB",
    ]  # fmt: skip


def test_command_writes_the_figure(tmp_path, capsys):
    assert main(["ceilings", str(tables(tmp_path))]) == 0
    assert (tmp_path / "figures" / "bandwidth_curve.svg").is_file()
    assert re.search(r"^ +1 +L2 +read +1 MiB +55\.0$", capsys.readouterr().out, re.MULTILINE)
    (tmp_path / "bandwidth_curve.csv").write_text("a,b\n1,2\n")
    assert main(["ceilings", str(tmp_path / "bandwidth_curve.csv")]) == 2
