from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.batches import Batches
from sparring.randomness import permutation


@given(st.integers(1, 200), st.integers(1, 70), st.integers(0, 3))
def test_an_epoch_holds_every_image_once(size, batch_size, epoch):
    batches = Batches(size, batch_size, seed=5)
    first = epoch * batches.epoch_length
    parts = [batches.indices(first + i) for i in range(batches.epoch_length)]
    assert {number for number, _ in parts} == {epoch}
    assert all(len(part) == batch_size for _, part in parts[:-1])
    assert 1 <= len(parts[-1][1]) <= batch_size
    assert sorted(np.concatenate([part for _, part in parts]).tolist()) == list(range(size))


def test_the_last_batch_keeps_what_is_left():
    batches = Batches(size=60_000, batch_size=64, seed=0)
    assert batches.epoch_length == 938
    assert len(batches.indices(937)[1]) == 60_000 - 937 * 64
    assert len(batches.indices(938)[1]) == 64


def test_epochs_have_the_orders_of_their_keys():
    batches = Batches(size=10, batch_size=4, seed=7)
    order = np.concatenate([batches.indices(i)[1] for i in (3, 4, 5)])
    assert order.dtype == np.int64
    assert np.array_equal(order, permutation(7, 1, 10))
    assert not np.array_equal(order, permutation(7, 0, 10))


def test_any_batch_in_any_order():
    forward, backward = Batches(50, 8, seed=1), Batches(50, 8, seed=1)
    numbers = list(range(20))
    expected = [forward.indices(i) for i in numbers]
    for i in reversed(numbers):
        epoch, indices = backward.indices(i)
        assert epoch == expected[i][0]
        assert np.array_equal(indices, expected[i][1])


def test_indices_cannot_be_overwritten():
    _, indices = Batches(50, 8, seed=1).indices(0)
    with pytest.raises(ValueError, match="read-only"):
        indices[0] = 3


def test_repr_names_the_settings():
    assert repr(Batches(50, 8, seed=1)) == "Batches(size=50, batch_size=8, seed=1)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 8, 1), "size must be at least 1, not 0"),
        ((8, 0, 1), "batch_size must be at least 1, not 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Batches(*settings)


def test_a_negative_batch_is_refused():
    with pytest.raises(ValueError, match="batch must be at least 0, not -1"):
        Batches(8, 2, seed=0).indices(-1)
