"""Pictures of images and adversaries before and after adversarial training."""

from __future__ import annotations

from functools import partial

from plots.gallery import figure, table, text
from plots.shared.plot import Plot

PLOT = Plot(
    name="gallery",
    help="""Draw images and adversaries before and after adversarial training.

    Reads the CSV that `python -m sparring gallery CHECKPOINT` wrote. Writes <table>.svg and .png:
    image, perturbation and adversary, each with the predicted class and its probability; and
    <table>_perturbations.*: the perturbations alone, side by side.

    \b
    Example:
      python -m plots gallery results/gallery.csv
    """,
    columns=table.COLUMNS,
    schema_version=table.SCHEMA_VERSION,
    read=table.analyse,
    describe=text.describe,
    drawings=lambda gallery: {
        "": partial(figure.draw_pictures, gallery),
        "_perturbations": partial(figure.draw_perturbations, gallery),
    },
    captions=lambda gallery: {"": gallery.caption, "_perturbations": gallery.caption},
    makes={"gallery": "make gallery CHECKPOINT=results/checkpoints/RUN.pt"},
    title="Adversaries, before and after training",
    place=45,
)
