"""How many images a network gets right, clean and under attack."""

from __future__ import annotations

import torch
from torch import nn

from sparring.attacks.base import Attack
from sparring.attacks.sources import KeyedSource
from sparring.data.dataset import Split
from sparring.logits import adversaries_or_images, logits_of, right
from sparring.modes import mode
from sparring.randomness import ImageStreams

#: Epoch number that keys the evaluation's random numbers; no training run gets that far.
_EVALUATION_EPOCH = 2**24 - 1


def count_correct(
    model: nn.Module,
    split: Split,
    which: range,
    attack: Attack | None = None,
    *,
    seed: int = 0,
    batch_size: int = 64,
) -> int:
    """Images of ``which`` that the model classifies rightly, after the attack if there is one.

    An image's noise depends on (seed, image) alone, so the count is the same however the images
    are split into batches or over ranks.

    Args:
        model: from images to logits; its mode and weights are left as they are.
        split: where the images are.
        which: the images' numbers.
        attack: None counts clean accuracy.
        seed: keys the attack's random numbers.
        batch_size: images at a time.
    """
    dtype = next(model.parameters()).dtype
    correct = 0
    with mode(model, training=False):
        for start in range(0, len(which), batch_size):
            chosen = list(which[start : start + batch_size])
            x = torch.from_numpy(split.images(chosen)).to(dtype)
            y = torch.from_numpy(split.labels(chosen))
            if attack is not None:
                streams = ImageStreams(seed, _EVALUATION_EPOCH, chosen)
                found = attack(model, x, y, generator=KeyedSource(streams))
                x = adversaries_or_images(found, x)
            with torch.no_grad():
                correct += int(right(logits_of(model, x), y).sum())
    return correct
