import csv
import io
from functools import partial

import pytest

from plots.scaling import figure as scaling_figure
from plots.scaling.caption import caption
from plots.scaling.table import analyse
from plots.scaling.text import FIT_COLUMNS, fits_table
from plots.shared import files, style
from plots.shared.observations import select
from tests.plots.legibility import flaws
from tests.plots.scaling_tables import BATCHES, Table, amdahl, pipeline

LAWS = {"pipeline": pipeline(), "data_parallel": amdahl(0.03)}
SHARED = {"adversary_steps": 32, "batch_size": 64, "updates": BATCHES, "dataset": "mnist-5k",
          "network": "study", "attack": "ascent"}  # fmt: skip


def two_cores(table):
    return table.training([2], strategies=LAWS)


def two_facets(table):
    for steps in (15, 32):
        table.training([2, 4, 8, 16, 32], steps=steps, strategies=LAWS)
    return table


def all_sources(table):
    two_cores(table)
    for source in ("oversubscribed", "emulated", "simulated"):
        if source != "oversubscribed":  # whose T_1 is the measured one
            table.add(9, processes=1, strategy="sequential", source=source, **SHARED)
        for p in (2, 8, 32):
            table.add(9 / p, processes=p, strategy="sharded", source=source, **SHARED)
    return table


def long_names(table):
    for threads in (1, 2, 4):
        for p in (1, 2, 4):
            table.add(8 / p, processes=p, threads=threads, workload="a.rather.long.module:Workload")
    return table


def analysis_of(build, folder):
    return analyse(select(build(Table(noise=0.02)).write(folder)))


@pytest.mark.parametrize("width", style.WIDTHS)
@pytest.mark.parametrize("build", [two_cores, two_facets, all_sources, long_names])
def test_nothing_is_clipped_or_on_top_of_something_else(tmp_path, build, width):
    analysis = analysis_of(build, tmp_path)
    draw = partial(scaling_figure.draw, analysis)
    assert flaws(draw, tmp_path, style.WIDTHS[width], caption(analysis)) == []


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_legend_of_a_strong_study(tmp_path):
    analysis = analysis_of(two_cores, tmp_path)
    figure = scaling_figure.draw(analysis)
    assert labels(figure) == [
        "sequential (T₁)", "data parallel (measured)", "pipeline (measured)",
        "pipeline, bound from p = 1", "data parallel, bound: shards as fast as the whole batch",
        "ideal",
        "claim of the study's slides: Amdahl, f = 1/32",
        "Tumma et al. 2022, m4.16xlarge (reference)",
    ]  # fmt: skip
    said = caption(analysis)
    assert "Intel Xeon E5-2686 v4 @ 2.30GHz, 32 cores" in said
    assert "Medians over launches, 6 per point; bars: 95 % bootstrap" in said  # no law is fitted


def test_the_caption_tells_of_bands_where_a_law_is_fitted(tmp_path):
    assert "bars and bands: 95 % bootstrap" in caption(analysis_of(two_facets, tmp_path))


def test_two_numbers_of_processes_are_drawn_as_rows_beside_the_bounds(tmp_path):
    rows, bounds = scaling_figure.draw(analysis_of(two_cores, tmp_path)).axes
    title = rows.get_title("left")
    assert title.startswith("T₁ = 14.")
    assert title.endswith(" s (sequential)")
    assert rows.get_xlabel() == "speed-up, 2 against 1 core"
    told = [tick.get_text().split() for tick in rows.get_yticklabels()]
    assert [words[0] for words in told] == ["data", "pipeline"]  # the fastest first
    assert told[0][1] == "parallel"
    assert rows.get_xlim()[1] < 4
    assert bounds.get_title("left") == "bounds up to p = 32"
    assert bounds.get_xlim()[1] > 32


def test_where_nothing_is_known_beyond_p_there_are_only_rows(tmp_path):
    table = Table("nap").add(4.0, processes=1).add(2.0, processes=2)
    (axis,) = scaling_figure.draw(analyse(select(table.write(tmp_path)))).axes
    assert axis.get_xlabel() == "speed-up, 2 against 1 core"


def test_many_strategies_at_one_p_stay_near_it(tmp_path):
    laws = {f"way {number}": amdahl(0.01 * number) for number in range(9)}
    table = Table().training([2, 4], strategies=laws)
    figure = scaling_figure.draw(analyse(select(table.write(tmp_path))))
    marks = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", "x")]
    xs = [x for line in marks for x in line.get_xdata()]
    near_two = [x for x in xs if 1.4 < x < 2.8]
    assert len({round(x, 3) for x in near_two}) >= 9
    assert max(near_two) / min(near_two) < 2**0.41


def test_reference_says_its_steps_where_others_are_drawn_too(tmp_path):
    figure = scaling_figure.draw(analysis_of(two_facets, tmp_path))
    assert "Tumma et al. 2022, m4.16xlarge, 32 steps (reference)" in labels(figure)
    assert "data parallel, Amdahl fit" in labels(figure)
    assert [axis.get_title("left").split(";")[0] for axis in figure.axes[::2]] == [
        "15 adversary steps", "32 adversary steps",
    ]  # fmt: skip


def test_sources_are_told_apart_by_their_markers(tmp_path):
    figure = scaling_figure.draw(analysis_of(all_sources, tmp_path))
    handles = dict(zip(labels(figure), figure.legends[0].legend_handles, strict=True))
    fills = {
        handles[style.SOURCE_MEANINGS[source]].get_fillstyle()
        for source in ("measured", "oversubscribed", "emulated", "simulated")
    }
    assert len(fills) == 4


def test_a_fit_is_drawn_no_further_than_its_points(tmp_path):
    table = Table().training([2, 4, 8], strategies={"data_parallel": amdahl(0.03)})
    figure = scaling_figure.draw(analyse(select(table.write(tmp_path))))
    look = style.looks(["data_parallel"])["data_parallel"]
    ends = [
        max(line.get_xdata())
        for line in figure.axes[0].lines
        if line.get_color() == look.colour and line.get_linestyle() == "-" and line.get_lw() == 1.0
    ]
    assert max(ends) == pytest.approx(8.0, rel=0.02)


def test_strategies_differ_in_more_than_colour():
    looks = style.looks(["sequential", "pipeline", "data_parallel", "sharded", "other", "more"])
    for attribute in ("colour", "marker", "dashes"):
        assert len({getattr(look, attribute) for look in looks.values()}) == len(looks)


def test_axis_goes_on_where_more_processes_were_measured(tmp_path):
    table = Table("sleep").add(64.0, processes=1).add(33.0, processes=2)
    table.add(1.2, processes=64)
    analysis = analyse(select(table.write(tmp_path)))
    assert analysis.largest == 64
    ticks = scaling_figure.draw(analysis).axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["1", "2", "4", "8", "16", "32", "64"]


def test_svg_holds_no_date(tmp_path):
    draw = partial(scaling_figure.draw, analysis_of(two_cores, tmp_path))
    assert "<dc:date>" not in files.as_svg(draw)


def test_fits_table(tmp_path):
    table = Table().training([2, 4, 8], strategies=LAWS)
    text = fits_table(analyse(select(table.write(tmp_path))))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == FIT_COLUMNS
    (amdahl_row,) = [row for row in rows if row["model"] == "amdahl" and row["estimate"]]
    assert float(amdahl_row["estimate"]) == pytest.approx(0.03, abs=1e-9)
    assert (amdahl_row["status"], amdahl_row["distinct_p"]) == ("fitted", "4")
    assert float(amdahl_row["prediction_error_percent"]) == pytest.approx(0.0, abs=1e-6)
    (refused,) = [row for row in rows if row["strategy"] == "pipeline"]
    assert refused["status"].startswith("not fitted: pipeline overlaps")
    assert refused["estimate"] == ""
