from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparring.attacks import KeyedSource, RandomSource, TorchSource
from sparring.commands.option_types import SEED
from sparring.randomness import MOST_SEED, ImageStreams, permutation

CPU = torch.device("cpu")


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**24 - 1), st.integers(0, 300))
def test_permutation_orders_every_item(seed, epoch, n):
    order = permutation(seed, epoch, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    assert np.array_equal(order, permutation(seed, epoch, n))


def test_options_take_every_seed():
    assert (SEED.min, SEED.max) == (0, MOST_SEED)


def test_permutation_is_pinned():
    """A change here silently changes every published result."""
    assert permutation(0, 0, 8).tolist() == [2, 5, 0, 4, 3, 6, 7, 1]
    assert permutation(1, 0, 8).tolist() == [2, 4, 5, 6, 0, 1, 3, 7]
    assert permutation(0, 1, 8).tolist() == [0, 4, 3, 6, 1, 2, 5, 7]


def test_permutations_are_uniform():
    counts = np.zeros((4, 4))
    for epoch in range(4000):
        counts[np.arange(4), permutation(9, epoch, 4)] += 1
    # chi-squared of 16 cells, 9 degrees of freedom, 0.1% level
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9


def test_permutation_leaves_the_global_generator_alone():
    state = np.random.get_state()[1].tolist()
    permutation(0, 0, 100)
    ImageStreams(0, 0, [1]).normal((1, 5))
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 5), r"seed must be in 0 \.\. 2\*\*64 - 1, not -1"),
        ((2**64, 0, 5), "seed must be in"),
        ((0, 2**24, 5), r"epoch must be in 0 \.\. 2\*\*24 - 1, not 16777216"),
    ],
)
def test_keys_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        permutation(*arguments)


def test_image_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"image must be in 0 \.\. 2\*\*32 - 1, not 4294967296"):
        ImageStreams(0, 0, [2**32])


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12, unique=True),
    st.data(),
)
def test_splitting_a_batch_in_any_way_gives_the_same_noise(images, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(images)), max_size=4)))

    def draws(part):
        streams = ImageStreams(3, 4, part)
        n = len(part)
        return [
            streams.uniform((n, 2, 3), -1, 2),
            streams.normal((n, 5)),
            streams.uniform((n,), 0, 1),
        ]

    whole = draws(images)
    parts = [draws(images[a:b]) for a, b in zip([0, *cuts], [*cuts, len(images)], strict=True)]
    for i, expected in enumerate(whole):
        assert np.array_equal(np.concatenate([part[i] for part in parts]), expected)


def test_every_part_of_the_key_makes_another_stream():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**63, 0, 0), (0, 2**23, 0), (0, 0, 2**31)]
    draws = {float(ImageStreams(s, e, [i]).uniform((1,), 0, 1)[0]) for s, e, i in keys}
    assert len(draws) == len(keys)


def test_noise_does_not_repeat_the_permutations_stream():
    """The order of epoch 0 must not be readable from the noise of image 0."""
    noise = ImageStreams(0, 0, [0]).uniform((1, 64), 0, 1)[0]
    assert not np.array_equal(np.argsort(noise), permutation(0, 0, 64))


def test_draws_follow_one_another():
    streams = ImageStreams(0, 0, [5, 6])
    both = [streams.uniform((2, 3), 0, 1), streams.uniform((2, 3), 0, 1)]
    assert np.array_equal(
        np.concatenate(both, axis=1), ImageStreams(0, 0, [5, 6]).uniform((2, 6), 0, 1)
    )


def test_noise_has_its_distribution():
    streams = ImageStreams(1, 0, range(200))
    assert len(streams) == 200
    u, z = streams.uniform((200, 500), -2.0, 4.0), streams.normal((200, 500))
    assert u.min() >= -2
    assert u.max() < 4
    assert abs(u.mean() - 1) < 0.03
    assert abs(u.std() - 6 / 12**0.5) < 0.03
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02
    neighbours = np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.02  # images are independent


def test_shape_must_have_a_row_an_image():
    with pytest.raises(ValueError, match="shape must begin with 2, one row an image, not 3"):
        ImageStreams(0, 0, [1, 2]).normal((3, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keyed_source_is_the_streams_as_tensors(dtype):
    source, streams = KeyedSource(ImageStreams(2, 3, [4, 5])), ImageStreams(2, 3, [4, 5])
    u = source.uniform((2, 3), -0.5, 0.5, dtype, CPU)
    z = source.normal((2, 3), dtype, CPU)
    assert isinstance(source, RandomSource)
    assert u.dtype == z.dtype == dtype
    assert torch.equal(u, torch.from_numpy(streams.uniform((2, 3), -0.5, 0.5)).to(dtype))
    assert torch.equal(z, torch.from_numpy(streams.normal((2, 3))).to(dtype))


def test_torch_source_draws_from_its_generator():
    source = TorchSource(torch.Generator().manual_seed(1))
    u = source.uniform((4000,), 2.0, 3.0, torch.float64, CPU)
    z = source.normal((4000,), torch.float64, CPU)
    expected = torch.Generator().manual_seed(1)
    assert torch.equal(u, 2 + torch.rand(4000, generator=expected, dtype=torch.float64))
    assert torch.equal(z, torch.randn(4000, generator=expected, dtype=torch.float64))
