"""A table of images and their adversaries, for pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sparring import outputs
from sparring.attacks.sources import KeyedSource
from sparring.data.dataset import STUDY_MEAN, STUDY_STD
from sparring.modes import mode
from sparring.randomness import ImageStreams
from sparring.robustness.load import Trained
from sparring.robustness.scale import Scale
from sparring.robustness.suite import linf

SCHEMA_VERSION = 1
COLUMNS = (
    "schema_version", "training", "image", "label", "clean_class", "clean_probability",
    "adversary_class", "adversary_probability", "epsilon", "attack", "network", "dataset",
    "checkpoint_digest", "updates", "height", "width", "clean_pixels", "adversary_pixels",
)  # fmt: skip


def write(
    path: Path,
    trained: Trained,
    networks: Sequence[tuple[str, nn.Module]],
    images: int,
    epsilon: float,
    backend: str,
    seed: int,
) -> None:
    """Attack the first test images of a data set with PGD-40 before each network.

    Pixels stand in one cell, row by row, in thousandths of 0 to 1, parted by spaces.

    Args:
        path: the table.
        trained: tells data and units; the last network's checkpoint.
        networks: pairs of what the rows call it (``before``, ``after``) and network.
        images: how many.
        epsilon: L-infinity radius in pixels of 0 to 1.
        backend: of the attack.
        seed: of its random starts.

    Raises:
        SparringError: if the table cannot be written; the message tells where it is instead.
    """
    which = list(range(min(images, len(trained.dataset.test))))
    x = torch.from_numpy(trained.dataset.test.images(which))
    y = torch.from_numpy(trained.dataset.test.labels(which))
    entry = linf("pgd_40", epsilon, epsilon / 30, 40)
    attack = entry.build(Scale(trained.normalized, backend), trained.dataset.bounds)
    rows: list[dict[str, object]] = []
    for name, model in networks:
        streams = ImageStreams(seed, 2**24 - 1, which)
        found = attack(model, x, y, generator=KeyedSource(streams))
        clean, adversarial = _judge(model, x), _judge(model, found)
        rows += [
            {
                "schema_version": SCHEMA_VERSION, "training": name, "image": i,
                "label": int(y[i]), "clean_class": clean[i][0], "clean_probability": clean[i][1],
                "adversary_class": adversarial[i][0], "adversary_probability": adversarial[i][1],
                "epsilon": epsilon, "attack": entry.name, "network": trained.network,
                "dataset": trained.dataset.name,
                "checkpoint_digest": trained.digest if model is trained.model else "",
                "updates": trained.updates if model is trained.model else None,
                "height": x.shape[2], "width": x.shape[3],
                "clean_pixels": _pixels(x[i], trained.normalized),
                "adversary_pixels": _pixels(found[i], trained.normalized),
            }
            for i in range(len(which))
        ]  # fmt: skip
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    outputs.write(path, buffer.getvalue())


def _judge(model: nn.Module, x: Tensor) -> list[tuple[int, float]]:
    with mode(model, training=False), torch.no_grad():
        best = model(x).softmax(1).max(1)
    return [(int(c), round(float(p), 6)) for p, c in zip(best.values, best.indices, strict=True)]


def _pixels(image: Tensor, normalized: bool) -> str:
    values = image.reshape(-1).double().numpy()
    if normalized:
        values = values * STUDY_STD + STUDY_MEAN
    return " ".join(str(v) for v in np.rint(1000 * values).astype(int))
