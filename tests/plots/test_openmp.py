"""The OpenMP study from table to figures; times that follow known laws."""

from __future__ import annotations

import io

import matplotlib as mpl
import pytest

from harness.errors import UserError
from harness.tables.table import DETAIL_COLUMNS, details_path, format_csv, text_of
from plots.cli import main
from plots.openmp import attack as openmp_attack
from plots.openmp import random as openmp_random
from plots.openmp.figure import drawings
from plots.openmp.gradient import gradients
from plots.openmp.table import analyse
from plots.openmp.use_figure import draw_attacks
from plots.report.page import page
from plots.shared.bootstrap import wilson
from plots.shared.observations import select
from plots.shared.style import SETTINGS
from tests.plots.scaling_tables import Table

WORKLOAD = "experiments.openmp:OpenMP"


def chain_rows(queue_work):
    """Left to right takes 10 s for 100 FLOPs; a queue has more work, and loses a fifth to waiting.

    On one thread the queue's FLOPs take half as long each.
    """
    alone = 10 * queue_work / 2
    yield {"method": "sequential", "threads": 1, "seconds": 10.0, "flops": 100}
    yield {"method": "sequential", "threads": 2, "seconds": 8.0, "flops": 100}
    yield {"method": "blocks", "threads": 2, "seconds": 6.0, "flops": 110, "replay_seconds": 11.0}
    yield {"method": "queue", "threads": 1, "seconds": alone, "flops": 100 * queue_work}
    yield {"method": "queue", "threads": 2, "seconds": alone * 1.25 / 2,
           "flops": 100 * queue_work, "replay_seconds": alone}  # fmt: skip
    yield {"method": "optimal", "threads": 1, "seconds": 1.0, "flops": 5}
    yield {"method": "optimal", "threads": 2, "seconds": 2.0, "flops": 5}


def gradient_rows():
    yield {"method": "autograd", "threads": 1, "seconds": 0.01, "flops": 1e7}
    yield {"method": "fused", "threads": 1, "seconds": 0.002}
    yield {"method": "toeplitz_dense", "threads": 1, "seconds": 0.05, "flops": 2e8,
           "construction_seconds": 1.5, "memory_bytes": 2e8}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Two random chains, gradients of one batch size, and attacks on up to two cores."""
    table = Table("openmp")
    keywords = {"repetitions": 1, "workload": WORKLOAD}
    table.add(30.0, processes=1, threads=2, part="chains", shapes="random", **keywords)
    table.add(5.0, processes=1, threads=2, part="gradient", shapes=None, **keywords)
    for processes, threads in ((1, 1), (1, 2), (2, 1)):
        table.add(4.0, processes=processes, threads=threads, part="attack", shapes=None,
                  **keywords)  # fmt: skip
    table.write(tmp_path)
    rows = []
    for row in table.rows:
        found = []
        slow = 1 + 0.1 * int(str(row["launch"])[-1])  # of a launch as a whole: ratios do not see it
        if row["part"] == "chains":
            for draw, work in enumerate((3.0, 0.8)):
                found += [{"chain": "4 of 1 to 9", "draw": draw, **way}
                          for way in chain_rows(work)]  # fmt: skip
        elif row["part"] == "gradient":
            found = [{"batch_size": 64, **way} for way in gradient_rows()]
        else:
            seconds = {(1, 1): 2.0, (1, 2): 1.6, (2, 1): 2.0}[
                row["processes"], row["threads_per_process"]
            ]
            found = [
                {"method": name, "threads": row["threads_per_process"], "seconds": seconds,
                 "image_steps": 256 * row["processes"], "batch_size": 64}
                for name in ("torch", "fused")
            ]  # fmt: skip
        for number, detail in enumerate(found):
            rows.append(
                {
                    "point": row["point"],
                    "launch": row["launch"],
                    "repetition": row["repetition"],
                    "detail": number,
                    "round": 0,
                    "busy_cores": 1.0,
                    **detail,
                    "seconds": detail["seconds"] * slow,
                    **(
                        {"replay_seconds": detail["replay_seconds"] * slow}
                        if "replay_seconds" in detail
                        else {}
                    ),
                    "adversary_steps": 4 if row["part"] == "attack" else None,
                }
            )
    header = dict.fromkeys([*DETAIL_COLUMNS, *(name for row in rows for name in row)])
    texts = [{k: text_of(v) for k, v in row.items()} for row in rows]
    details_path(tmp_path, "openmp").write_text(format_csv(list(header), texts))
    return tmp_path


def study(folder):
    return analyse(select(folder / "openmp.csv"))


def test_a_slowdown_is_the_product_of_its_three_factors(folder):
    (chain,) = study(folder).chains
    assert (chain.draws, chain.threads) == (2, 2)
    ways = {(way.method, way.threads): way for way in chain.ways}
    for way in chain.ways:
        product = way.work.median * way.rate.median * way.parallel.median
        if way.method not in ("queue",):  # a median of products is no product of medians
            assert product == pytest.approx(way.threads / way.speedup.median)
    inside = ways["sequential", 2]
    assert inside.speedup.median == pytest.approx(1.25)
    assert inside.parallel.median == pytest.approx(1.6)
    blocks = ways["blocks", 2]
    assert [blocks.work.median, blocks.rate.median] == pytest.approx([1.1, 1.0])
    assert blocks.parallel.median == pytest.approx(12 / 11)
    queue = ways["queue", 2]
    assert queue.rate.median == pytest.approx(0.5)
    assert queue.parallel.median == pytest.approx(1.25)
    assert ways["optimal", 1].speedup.median == pytest.approx(10)


def test_intervals_are_over_launches_and_ratios_within_a_round(folder):
    (chain,) = study(folder).chains
    base = chain.ways[0]
    assert base.seconds.n == 6
    assert base.seconds.high / base.seconds.low == pytest.approx(1.5)
    assert all(way.speedup.low == pytest.approx(way.speedup.high) for way in chain.ways)


def test_who_wins_which_draw(folder):
    (chain,) = study(folder).chains
    draws = openmp_random.draws(chain)
    assert [one.time.median for one in draws] == pytest.approx([9.375 / 6, 2.5 / 6])
    assert [one.work.median for one in draws] == pytest.approx([3 / 1.1, 0.8 / 1.1])
    told = openmp_random.describe(draws)
    assert "faster than the blocks in 1 of 2 draws" in told
    assert "in 2 of 2 the one with fewer FLOPs" in told
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_gradients_beside_autograd(folder):
    sizes = gradients(study(folder).of("gradient"))
    assert list(sizes) == [64]
    found = {way.method: way for way in sizes[64]}
    assert found["fused"].ratio.median == pytest.approx(0.2)
    assert found["toeplitz_dense"].building.median == pytest.approx(1.5)
    assert found["toeplitz_dense"].memory == 2e8
    assert found["autograd"].memory is None


def test_attacks_by_layout(folder):
    found = openmp_attack.layouts(study(folder).of("attack"))
    assert list(found) == ["fused", "torch"]
    layouts = {(x.processes, x.threads): x for x in found["torch"]}
    assert layouts[1, 2].speedup == pytest.approx(1.25)
    assert layouts[2, 1].speedup == pytest.approx(2.0)
    assert layouts[2, 1].low < 2 < layouts[2, 1].high
    assert layouts[1, 1].low is None


def test_the_studys_own_ends(tmp_path):
    (tmp_path / "intraop.csv").write_text(
        "threads,adversary_steps,generate_seconds_per_batch,train_seconds_per_batch\n"
        "32,32,0.2,0.05\n"
    )
    assert openmp_attack.study(tmp_path) is None
    (tmp_path / "strong_scaling.csv").write_text(
        "processes,adversary_steps,epoch_seconds\n1,32,938\n32,32,46.9\n"
    )
    found = openmp_attack.study(tmp_path)
    assert (found.cores, found.threads, found.processes) == pytest.approx((32, 4.0, 20.0))


def test_a_figure_is_the_same_every_time(folder):
    found = study(folder)
    assert list(drawings(found, None)) == ["_chains", "_random", "_gradient", "_attack"]
    first, second = (text(draw_attacks(found, None)) for _ in range(2))
    assert first == second


def text(figure):
    buffer = io.StringIO()
    with mpl.rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def test_the_command_prints_tables_and_paths(folder, capsys):
    assert main(["openmp", str(folder / "openmp.csv")]) == 0
    out = capsys.readouterr().out
    for words in ("chain 4 of 1 to 9, 2 draws", "batch size 64", "attack, fused", "1 of 2 draws"):
        assert words in out
    names = [f"openmp_{part}" for part in ("attack", "chains", "gradient", "random")]
    found = sorted(path.name for path in (folder / "figures").iterdir())
    assert found == [f"{name}.{ending}" for name in names for ending in ("png", "svg")]


def test_the_report_shows_it_as_what_it_is(folder):
    html, skipped = page(folder)
    assert skipped == []
    assert "task queue" in html
    assert html.count("<figure>") == 4


def test_a_study_without_details_is_refused(folder, capsys):
    details_path(folder, "openmp").unlink()
    assert main(["openmp", str(folder / "openmp.csv")]) == 2
    assert "openmp.details.csv" in capsys.readouterr().err


def test_another_study_is_refused(tmp_path):
    Table("sleepy").add(1.0, processes=1).write(tmp_path)
    with pytest.raises(UserError, match="no column 'part'"):
        analyse(select(tmp_path / "sleepy.csv"))
