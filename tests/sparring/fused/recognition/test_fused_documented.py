"""What docs/engine.md says the engine takes, against what it takes."""

from __future__ import annotations

import re
from pathlib import Path

from sparring.fused.recognition.layers import LAYERS

DOCUMENT = Path(__file__).parents[4] / "docs" / "engine.md"


def rows():
    """The first column and the second of the table of layers."""
    section = DOCUMENT.read_text().split("## What it takes")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines]


def test_the_table_names_every_layer_that_is_taken_and_no_other():
    named = [name for first, _ in rows() for name in re.findall(r"`([\w.]+)`", first)]
    layers = [name.rpartition(".")[2] for name in named if name[0].isupper() or "." in name]
    assert len(layers) == len(set(layers))
    assert set(layers) == {layer.__name__ for layer in LAYERS}
