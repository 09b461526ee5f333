"""A gallery in words: how many of its pictures each network knows."""

from __future__ import annotations

from plots.gallery.table import Gallery


def describe(gallery: Gallery) -> str:
    """A line for each network."""
    lines = [gallery.caption]
    for name, pictures in gallery.pictures.items():
        clean = sum(picture.clean_class == picture.label for picture in pictures)
        under = sum(picture.adversary_class == picture.label for picture in pictures)
        lines.append(f"{name}: of {len(pictures)} images {clean} are classified rightly, of their "
                     f"adversaries {under}")  # fmt: skip
    return "\n".join(lines)
