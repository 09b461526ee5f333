import os
import subprocess
import sys
from pathlib import Path

import pytest

from plots import registry
from plots.cli import main
from tests.plots.scaling_tables import Table, amdahl, pipeline


def strong(folder, **keywords):
    table = Table(noise=0.02)
    table.training([2, 4], strategies={"pipeline": pipeline(), "data_parallel": amdahl(0.02)},
                   **keywords)  # fmt: skip
    return table.write(folder)


def fails(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_scaling_prints_points_fits_and_paths(tmp_path, capsys):
    path = strong(tmp_path)
    assert main(["scaling", str(path)]) == 0
    out = capsys.readouterr().out
    assert "strong scaling, 60 of 90 rows, environment env-a" in out
    assert "left out: 30 rows, warm-up" in out
    assert "Karp-Flatt" in out
    assert "not fitted: pipeline overlaps its serial part, see its bound" in out
    assert "error at largest p" in out
    for ending in ("svg", "png", "fits.csv"):
        written = tmp_path / "figures" / f"strong_scaling.{ending}"
        assert f"wrote {written}" in out
        assert written.stat().st_size > 500


def test_one_launch_says_that_n_is_too_small(tmp_path, capsys):
    assert main(["scaling", str(strong(tmp_path, launches=1)), "--out", str(tmp_path / "o")]) == 0
    assert "n too small" in capsys.readouterr().out
    assert "n too small for a 95 % interval" in (tmp_path / "o/strong_scaling.svg").read_text()


def test_two_processes_only_say_that_p_are_too_few(tmp_path, capsys):
    table = Table().training([2], strategies={"data_parallel": amdahl(0.02)})
    assert main(["scaling", str(table.write(tmp_path))]) == 0
    said = "too few p for a fit (2 distinct, 3 needed)"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "figures/strong_scaling.fits.csv").read_text()


def test_equal_tables_give_equal_bytes_in_other_processes(tmp_path):
    path = strong(tmp_path)
    found = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        done = subprocess.run(
            [sys.executable, "-m", "plots", "scaling", str(path), "--out", str(out)],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=False, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        found.append({file.name: file.read_bytes() for file in out.iterdir()})
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_where_and_environment_reach_the_table(tmp_path, capsys):
    path = strong(tmp_path)
    assert main(["scaling", str(path), "--where", "strategy=sequential"]) == 0
    assert "12 of 90 rows" in capsys.readouterr().out
    assert "is none of the environments" in fails(capsys, "scaling", path, "--environment", "zzz")
    assert "expected key=value, found 'p'" in fails(capsys, "scaling", path, "--where", "p")


def test_missing_file(tmp_path, capsys):
    assert "no such table; run the study first" in fails(capsys, "scaling", tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "the header lacks the column 'schema_version'"),
        (b"", "the header lacks the column"),
        (b"\xff\xfe\x00\x01", "not a table: expected CSV text in UTF-8"),
    ],
)
def test_not_a_table(tmp_path, capsys, content, said):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert said in fails(capsys, "scaling", path)


def test_a_folder_is_no_table(tmp_path, capsys):
    assert str(tmp_path) in fails(capsys, "scaling", tmp_path)


def test_no_ok_rows(tmp_path, capsys):
    path = Table("s").add(None, processes=1, status="failed").write(tmp_path)
    assert "no rows with status ok to draw (of 18 rows)" in fails(capsys, "scaling", path)


def test_none_of_the_points_asked_for(tmp_path, capsys):
    table = Table("s").add(1.0, processes=1, asked=False).add(None, processes=2, status="failed")
    assert "--all-points draws the others" in fails(capsys, "scaling", table.write(tmp_path))


def test_no_baseline(tmp_path, capsys):
    path = Table("s").add(1.0, processes=2).write(tmp_path)
    assert "no baseline for a speed-up: expected rows" in fails(capsys, "scaling", path)


def test_reference_folder_without_reference(tmp_path, capsys):
    said = fails(capsys, "scaling", strong(tmp_path), "--reference", tmp_path)
    assert "--reference expects a folder that holds strong_scaling.csv" not in said  # it holds one
    assert "the header lacks the column 'adversary_steps'" not in said
    assert "epoch_seconds" in said
    empty = tmp_path / "empty"
    empty.mkdir()
    said = fails(capsys, "scaling", tmp_path / "strong_scaling.csv", "--reference", empty)
    assert "--reference expects a folder that holds strong_scaling.csv" in said


def test_an_output_folder_that_is_a_file(tmp_path, capsys):
    path = strong(tmp_path)
    (tmp_path / "taken").write_text("")
    assert "taken" in fails(capsys, "scaling", path, "--out", tmp_path / "taken" / "inner")


def test_unknown_command_and_option(capsys):
    assert "No such command 'scale'" in fails(capsys, "scale")
    assert "No such option" in fails(capsys, "scaling", "x.csv", "--nope")


@pytest.mark.parametrize("arguments", [["--help"], ["scaling", "--help"], ["report", "--help"]])
def test_help_teaches(capsys, arguments):
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Usage: python -m plots" in out
    assert len(out) > 400


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_is_full_is_a_sentence(tmp_path):
    path = Table("nap").add(2.0, processes=1).add(1.0, processes=2).write(tmp_path)
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "plots", "scaling", str(path)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    told = "error: output: cannot be read or written: No space left on device\n"
    assert (result.returncode, result.stderr) == (2, told)


def test_a_mistyped_command_names_the_nearest(capsys):
    assert "No such command 'scalin'; did you mean 'scaling'?" in fails(capsys, "scalin", "x.csv")


def test_a_table_of_another_plot_is_answered_with_that_plot(tmp_path, capsys):
    path = strong(tmp_path)
    scaling = f"`python -m plots scaling {path}` draws it"
    for name in registry.declared():
        if name.name != "scaling":
            told = fails(capsys, name.name, path)
            assert scaling in told, name.name
    ranks = path.with_suffix(".ranks.csv")
    ranks.write_text("study,point\n")
    told = fails(capsys, "scaling", ranks)
    assert told.endswith(f"lacks the column 'schema_version' of a table of schema version 1; "
                         f"it belongs to {path}: {scaling}\n")  # fmt: skip


def test_a_table_without_a_command_is_answered_with_the_command(tmp_path, capsys):
    path = strong(tmp_path)
    assert f"; `python -m plots scaling {path}` draws it" in fails(capsys, path)
    assert f"`python -m plots report {tmp_path}` makes a page" in fails(capsys, tmp_path)
    assert "no such table; run the study first" in fails(capsys, tmp_path / "no.csv")


def test_a_table_whose_environments_have_no_name_is_drawn(tmp_path, capsys):
    table = Table("simulated").add(2.0, processes=1, environment="")
    path = table.add(1.0, processes=2, environment="").write(tmp_path)
    assert main(["scaling", str(path)]) == 0
    assert "24 of 36 rows" in capsys.readouterr().out
