"""Seconds of one ascent step of PGD."""

from __future__ import annotations

import pytest

from sparring import PGD


@pytest.mark.parametrize("batch_size", [1, 16, 64, 256])
def test_attack_step(benchmark, model, images, backend, batch_size):
    steps = 5
    x, y = images(batch_size)
    attack = PGD(epsilon=0.3, step_size=0.02, steps=steps, backend=backend)
    benchmark.group = f"attack of {steps} steps, batch {batch_size}, trained weights"
    benchmark.extra_info["image_steps"] = batch_size * steps
    found = benchmark(attack, model, x, y)
    assert found.shape == x.shape
