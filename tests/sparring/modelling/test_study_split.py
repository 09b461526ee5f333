"""The original study's split of an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from sparring.errors import SparringError
from sparring.modelling.study_split import StudySplit


@pytest.mark.parametrize(("processes", "rest"), [(2, 32), (4, 32), (16, 32), (32, 16)])
def test_each_share_ends_in_a_partial_batch_of_its_own(processes, rest):
    split = StudySplit(60_000, 64, 0, processes - 1)
    sizes = [split.rows(number) for number in range(split.epoch_length)]
    assert sizes[-(processes - 1) :] == [rest] * (processes - 1)
    assert set(sizes[: -(processes - 1)]) == {64}


def test_an_epoch_holds_every_image_and_fills_up_from_the_beginning():
    split = StudySplit(100, 16, 3, 7)
    seen = np.concatenate([split.indices(n)[1] for n in range(split.epoch_length)])
    assert split.share == 15
    assert len(seen) == 7 * 15
    assert set(seen) == set(range(100))


def test_a_generator_has_a_contiguous_share_of_the_order():
    split, whole = StudySplit(120, 16, 3, 3), StudySplit(120, 16, 3, 1)
    order = np.concatenate([whole.indices(n)[1] for n in range(whole.epoch_length)])
    own = np.concatenate([split.indices(n)[1] for n in range(1, split.epoch_length, 3)])
    assert own.tolist() == order[40:80].tolist()


def test_every_epoch_has_the_same_order():
    split = StudySplit(100, 16, 3, 7)
    first, second = split.indices(4), split.indices(4 + split.epoch_length)
    assert (first[0], second[0]) == (0, 1)
    assert first[1].tolist() == second[1].tolist()


def test_more_generators_than_images_are_refused():
    with pytest.raises(SparringError, match="expected 1 to 10 generators for 10 images, not 11"):
        StudySplit(10, 4, 0, 11)
