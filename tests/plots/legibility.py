"""What a reader would stumble over in a figure: texts on each other, cut off, or too small."""

from __future__ import annotations

import itertools
import warnings
from contextlib import ExitStack
from unittest import mock

from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox

from plots.shared import files, legends

#: Points: no text is smaller.
LEAST = 5.5
#: Pixels by which texts may touch: glyphs are smaller than the boxes that matplotlib tells.
SLACK = 1.5


class Page:
    """The texts of a figure, as they are drawn last when it is saved.

    Attributes:
        box: of the page, in pixels.
        texts: their words, size in points, and corners in pixels.
        covering: the words of legends that lie on data.
    """

    def __init__(self, draw, folder, width, caption=""):
        self.texts, self.covering = [], []
        draw_figure, draw_text = Figure.draw, Text.draw

        def begin(figure, renderer):
            self.texts.clear()
            self.box = Bbox([[0, 0], [renderer.width, renderer.height]])
            draw_figure(figure, renderer)
            self.covering = [
                legend.get_texts()[0].get_text()
                for axis in figure.axes
                if (legend := axis.get_legend()) and legends.covers(legend)
            ]

        def record(text, renderer, *others, **named):
            words = text.get_text()
            if text.get_visible() and words.strip():
                self.texts.append((words, text.get_fontsize(), _corners(text, renderer)))
            draw_text(text, renderer, *others, **named)

        with ExitStack() as patches:
            patches.enter_context(mock.patch.object(Figure, "draw", begin))
            patches.enter_context(mock.patch.object(Text, "draw", record))
            files.save(draw, folder, "page", ("png",), width, caption)


def flaws(draw, folder, width, caption=""):
    """A sentence for each flaw of a figure as it is saved; none, if all can be read.

    What matplotlib warns of while it draws is an error: a layout that found no room.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = Page(draw, folder, width, caption)
    found = [f"the legend of '{words}' lies on data" for words in page.covering]
    found += [
        f"'{words}' is set in {size:g} points" for words, size, _ in page.texts if size < LEAST
    ]
    for words, _, corners in page.texts:
        if not all(page.box.contains(*corner) for corner in corners):
            found.append(f"'{words}' is cut off")
    for (one, _, first), (other, _, second) in itertools.combinations(page.texts, 2):
        if Path(first, closed=True).intersects_path(Path(second, closed=True)):
            found.append(f"'{one}' overlaps '{other}'")
    return found


def _corners(text, renderer):
    """Of a text's box, slanted as the text is; its first corner comes again as the last."""
    angle = text.get_rotation()
    upright = angle % 90 == 0
    if not upright:
        assert text.get_rotation_mode() == "anchor"
        text.set_rotation(0)
    box = Text.get_window_extent(text, renderer).padded(-SLACK)
    turn = Affine2D()
    if not upright:
        text.set_rotation(angle)
        turn.rotate_deg_around(*text.get_transform().transform(text.get_position()), angle)
    (left, low), (right, high) = box.get_points()
    ring = [(left, low), (right, low), (right, high), (left, high), (left, low)]
    return [tuple(turn.transform(corner)) for corner in ring]
