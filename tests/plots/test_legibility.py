"""Figures of real tables can be read: no text on another, none cut off, legends on no data."""

import csv
from functools import partial
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from harness.tables.table import details_path
from plots import registry
from plots.shared import captions, layout, legends, style
from tests.plots.legibility import Page, flaws

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
AMD, INTEL = "amd-epyc-2-cores", "intel-xeon-2-cores"


@pytest.mark.parametrize(
    ("table", "width"),
    [
        (f"{INTEL}/avx512/strong_scaling.csv", "two"),
        (f"{AMD}/emulation/strong_scaling.csv", "one"),
        (f"{AMD}/staleness.csv", "one"),
        (f"{AMD}/openmp/openmp.csv", "one"),
        (f"{INTEL}/robustness/robustness.csv", "one"),
        (f"{AMD}/roofline/roofline.csv", "one"),
        (f"{AMD}/roofline/roofline.csv", "two"),
        (f"{AMD}/virtual/virtual.csv", "one"),
        (f"{INTEL}/avx512/attack_benchmark.csv", "two"),
    ],
)
def test_all_texts_of_a_published_table_s_figures_can_be_read(table, width, tmp_path):
    path = PUBLISHED / table
    with path.open() as file:
        header = next(csv.reader(file))
    plots = registry.plots_for(header, details_path(path.parent, path.stem).is_file())
    assert plots
    for plot in plots:
        study = plot.read(path)
        captions = plot.captions(study)
        drawings = plot.drawings(study)
        assert set(captions) == set(drawings)
        for suffix, draw in drawings.items():
            assert flaws(draw, tmp_path, style.WIDTHS[width], captions[suffix]) == []


@pytest.mark.parametrize("width", ["one", "two"])
@pytest.mark.parametrize("machine", [AMD, INTEL])
def test_names_on_roofs_stand_inside_the_panel_and_on_no_claim(machine, width):
    path = PUBLISHED / machine / "roofline" / "roofline.csv"
    (plot,) = [plot for plot in registry.declared() if plot.name == "roofline"]
    with mpl.rc_context(style.SETTINGS):
        figure = next(iter(plot.drawings(plot.read(path)).values()))(style.WIDTHS[width])
        figure.canvas.draw()
    seen = 0
    for axis in figure.axes:
        for text in axis.texts:
            if not text.get_rotation():
                continue
            box = text.get_window_extent()
            assert box.x0 >= axis.get_window_extent().x0, text.get_text()
            for line in axis.lines:
                if line.get_marker() == "x":
                    seen += 1
                    assert not box.contains(*axis.transData.transform(line.get_xydata())[0])
    assert seen


def test_a_figure_without_a_caption_has_its_own_size_and_no_room_for_one():
    figure = layout.figure(3.0, 2.0)
    assert captions.write(figure, "").bounds == (0.0, 0.0, 3.0, 2.0)
    assert captions.write(figure, "Words.").height > 2.0


def crowded(width, *, says="a curve", points=((0, 0), (1, 1)), texts=()):
    figure, ((axis,),) = layout.panels(width, 1, 1, 2.0)
    axis.plot(*zip(*points, strict=True), "o-", label=says)
    for x, y, words, keywords in texts:
        axis.text(x, y, words, **keywords)
    axis.legend(frameon=False)
    return layout.finish(figure)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([(0.5, 0.2, "here", {}), (0.51, 0.2, "there", {})], ["'here' overlaps 'there'"]),
        ([(1.0, 0.5, "far too long to stay on the page", {})],
         ["'far too long to stay on the page' is cut off"]),
        ([(0.6, 0.2, "small print", {"fontsize": 4.0})], ["'small print' is set in 4 points"]),
        ([(0.2, 0.2, "up the hill", {"rotation": 45, "rotation_mode": "anchor"}),
          (0.35, 0.18, "below it", {})], []),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(texts, told, tmp_path):
    draw = partial(crowded, texts=[(*text[:3], {"in_layout": False, **text[3]}) for text in texts])
    assert flaws(draw, tmp_path, style.ONE) == told


def test_a_caption_below_moves_nothing_above_it(tmp_path):
    def draw(width):
        figure, ((axis,),) = layout.panels(width, 1, 1, 2.0)
        handles = axis.plot([1, 2], label="a legend below")
        axis.annotate("a note", (1, 1), (4, 4), textcoords="offset points")
        return layout.finish(figure, handles)

    without, below = (
        {words: page.box.y1 - corners[0][1] for words, _, corners in page.texts}
        for page in (Page(draw, tmp_path, style.ONE, told) for told in ("", "A caption."))
    )
    assert {"a legend below", "a note"} < set(without)
    assert below.pop("A caption.") > max(below.values())
    assert below == pytest.approx(without, abs=0.5)


ZIGZAG = [(x / 8, 0.02 + 0.96 * (x % 2)) for x in range(9)]


def test_a_legend_has_a_corner_without_data_or_the_panel_grows(tmp_path):
    free = crowded(style.ONE, points=[(0, 0), (1, 1), (1, 1.1)])
    assert not legends.covers(free.axes[0].get_legend())
    assert free.axes[0].get_ylim()[1] < 1.2
    full = crowded(style.ONE, points=ZIGZAG)
    assert not legends.covers(full.axes[0].get_legend())
    assert full.axes[0].get_ylim()[1] > 1.2
    assert max(full.axes[0].get_yticks()) <= full.axes[0].get_ylim()[1]


def test_a_legend_wider_than_its_panel_is_broken_into_lines():
    figure = crowded(style.ONE, says="words " * 16)
    legend = figure.axes[0].get_legend()
    assert "\n" in legend.get_texts()[0].get_text()
    assert legend.get_window_extent().width <= figure.axes[0].get_window_extent().width


def test_letters_are_as_wide_in_pixels_as_in_outlines():
    """Places are found in pixels, and serve SVG and PDF too."""
    words = "0.949 [0.870, 1.00], 47 %: all kinds of letters"
    with mpl.rc_context(style.SETTINGS):
        figure = layout.figure(style.TWO, 1.0)
        label = figure.text(0, 0, words, fontsize=7.0)
        pixels = label.get_window_extent().width
    font = FontProperties(family=style.SETTINGS["font.family"], size=7.0)
    points, _, _ = text_to_path.get_text_width_height_descent(words, font, False)
    assert pixels / figure.dpi == pytest.approx(points / 72, rel=0.005)


def test_rows_stand_below_each_other_in_one_column():
    for width, across in ((style.ONE, [1, 1, 1]), (style.TWO, [1, 2])):
        figure, axes = layout.rows(width, (1.0, 1), (2.0, 2))
        assert isinstance(figure, Figure)
        layout.finish(figure)
        heights = [round(axis.get_position().y0, 2) for axis in axes]
        assert [heights.count(one) for one in dict.fromkeys(heights)] == across
