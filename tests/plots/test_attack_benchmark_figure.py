"""The attack benchmark from table to figure."""

import pytest

from harness.errors import UserError
from harness.tables.table import format_csv, text_of
from plots.attack_benchmark import PLOT
from plots.attack_benchmark.figure import caption_of
from plots.attack_benchmark.table import COLUMNS as REQUIRED
from plots.attack_benchmark.table import analyse
from plots.attack_benchmark.text import describe
from plots.cli import main
from plots.report.page import page

COLUMNS = (*REQUIRED, "order")
#: Seconds of the fused attack in each round; the others take a multiple.
DRIFT = (1.0, 1.1, 0.9, 5.0, 1.0, 1.05)


def rows_of(
    run="20260101T000000Z-aaaa", factors=None, rounds=6, started="2026-01-01", task="attack"
):
    rows = []
    others = {"art": 10} if task == "attack" else {"plain": 5}
    steps = 0 if task == "update" else 15
    for threads in (1, 2):
        for batch_size in (1, 64):
            for name, factor in (factors or {"fused": 1, "sparring": 4, **others}).items():
                for number, drift in enumerate(DRIFT[:rounds]):
                    seconds = factor * drift / threads
                    rows.append({
                        "schema_version": 2, "run": run, "task": task,
                        "network": "study", "dataset": "mnist-5k",
                        "competitor": name, "version": "1.2", "batch_size": batch_size,
                        "threads": threads, "steps": steps, "round": number, "seconds": seconds,
                        "status": "ok",
                        "message": None, "first_call_seconds": 2.5, "cpu": "Thing(R) 9",
                        "cores": 2, "torch_version": "2.13.0", "started_at": started,
                    })  # fmt: skip
            rows.append({**rows[-1], "competitor": "foolbox", "status": "skipped", "round": None,
                         "seconds": None,
                         "message": "not installed: make peers"})  # fmt: skip
    return rows


@pytest.fixture
def write(tmp_path):
    def table(rows):
        path = tmp_path / "attack_benchmark.csv"
        texts = [{key: text_of(value) for key, value in row.items()} for row in rows]
        path.write_text(format_csv(COLUMNS, texts))
        return path

    return table


def test_ratios_are_of_the_same_round(write):
    found = analyse(write(rows_of()))
    assert found.base == "fused"
    assert [panel.title for panel in found.panels] == ["1 thread, 15 steps", "2 threads, 15 steps"]
    cells = {(c.competitor, c.batch_size): c for c in found.panels[0].cells}
    assert list(cells)[:4] == [(n, 1) for n in ("fused", "sparring", "foolbox", "art")]
    ratio = cells["sparring", 64].ratio
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((4, 4, 4))  # despite the drift
    assert cells["sparring", 64].rate.high > 2 * cells["sparring", 64].rate.low
    assert cells["foolbox", 1].rate is None
    assert cells["foolbox", 1].trouble == "skipped: not installed: make peers"


def test_weights_are_told_and_older_tables_were_trained(tmp_path):
    rows = rows_of()
    path = tmp_path / "attack_benchmark.csv"
    for weights, said in (
        (None, "on network 'study' trained on mnist-5k"),
        ("trained", "on network 'study' trained on mnist-5k"),
        ("initial", "on network 'study' with its initial weights, images of mnist-5k"),
    ):
        more = {} if weights is None else {"schema_version": 3, "weights": weights}
        texts = [{key: text_of(value) for key, value in {**row, **more}.items()} for row in rows]
        path.write_text(format_csv((*COLUMNS, *(["weights"] if weights else [])), texts))
        found = analyse(path)
        assert said in caption_of(found)
        assert f"'study', {weights or 'trained'} weights" in describe(found).splitlines()[0]


def test_training_has_a_figure_of_its_own(write, capsys, tmp_path):
    training = [row for task in ("iteration", "update") for row in rows_of(task=task)]
    path = write(rows_of() + training)
    found = analyse(path)
    assert [(p.task, p.threads, p.steps) for p in found.panels] == [
        ("attack", 1, 15), ("attack", 2, 15), ("update", 1, 0), ("update", 2, 0),
        ("iteration", 1, 15), ("iteration", 2, 15),
    ]  # fmt: skip
    cells = {(c.competitor, c.batch_size): c for c in found.panels[2].cells}
    assert cells["plain", 64].ratio.median == pytest.approx(5)
    assert cells["fused", 64].rate.high == pytest.approx(64 / 0.9)
    assert main(["attack-benchmark", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\nupdate, 2 threads\n" in out
    assert "\niteration, 1 thread, 15 steps\n" in out
    assert "ms an iteration" in out
    names = [f"attack_benchmark{which}.{e}" for which in ("", "_training")
             for e in ("svg", "pdf", "png")]  # fmt: skip
    assert sorted(p.name for p in (path.parent / "figures").iterdir()) == sorted(names)
    html, skipped = page(path.parent)
    assert (html.count("<figure>"), skipped) == (2, [])


def test_a_run_of_training_alone(write, tmp_path):
    some = [row for row in rows_of(task="update") if row["threads"] == 1 or row["batch_size"] == 1]
    written = PLOT.save(analyse(write(some)), tmp_path / "figures", "attack_benchmark")
    assert [path.name for path in written] == [
        f"attack_benchmark_training.{ending}" for ending in ("svg", "pdf", "png")
    ]


def test_the_last_run_or_the_one_asked_for(write):
    later = rows_of("20260202T000000Z-bbbb", {"sparring": 1, "plain": 2}, started="2026-02-02")
    path = write(later + rows_of())
    found = analyse(path)
    assert found.run == "20260202T000000Z-bbbb"
    assert found.base == "sparring"
    assert found.left_out == len(rows_of())
    assert analyse(path, "20260101").run == "20260101T000000Z-aaaa"
    with pytest.raises(UserError, match="'2026' begins 2 of the runs"):
        analyse(path, "2026")
    with pytest.raises(UserError, match="'x' begins none of the runs"):
        analyse(path, "x")


def test_a_failure_after_some_rounds_is_told(write):
    rows = rows_of()
    rows.append({**rows[-1], "competitor": "art", "status": "failed", "message": "no answer"})
    assert "(failed: no answer)" in describe(analyse(write(rows)))


def test_the_command_prints_ratios_and_writes_figures(write, capsys):
    path = write(rows_of())
    assert main(["attack-benchmark", str(path)]) == 0
    out = capsys.readouterr().out
    assert "time / Sparring, fused (95 %)" in out
    assert "10.0 [10.0, 10.0]" in out
    assert "skipped: not installed: make peers" in out
    for ending in ("svg", "pdf", "png"):
        written = path.parent / "figures" / f"attack_benchmark.{ending}"
        assert f"wrote {written}" in out
        assert written.stat().st_size > 5000


def test_few_rounds_have_no_interval(write, capsys):
    path = write(rows_of(rounds=5))
    assert main(["attack-benchmark", str(path)]) == 0
    assert "4.00 (n too small)" in capsys.readouterr().out


def test_the_report_shows_it(write):
    html, skipped = page(write(rows_of()).parent)
    assert skipped == []
    assert "<svg" in html
    assert "Sparring, fused" in html


def test_other_tables_are_refused(write, tmp_path, capsys):
    with pytest.raises(UserError, match="has no rows"):
        analyse(write([]))
    nothing = [row for row in rows_of() if row["status"] != "ok"]
    with pytest.raises(UserError, match="measured nothing"):
        analyse(write(nothing))
    with pytest.raises(UserError, match="expected schema_version 3 or older, found '4'"):
        analyse(write([{**row, "schema_version": 4} for row in rows_of()]))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert main(["attack-benchmark", str(tmp_path / "other.csv")]) == 2
    assert "lacks the column 'schema_version'" in capsys.readouterr().err
