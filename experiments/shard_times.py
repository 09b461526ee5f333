"""What shards of a minibatch cost by themselves: no strategy that splits minibatches is faster."""

from __future__ import annotations

import time

import numpy as np

from sparring.compute.interface import Compute

#: No further round begins after so many seconds, or so many rounds.
SECONDS, ROUNDS = 1.0, 5


def shard_times(compute: Compute) -> dict[str, str]:
    """Times of an attack and of the gradients of an update, for shards of 1, 2, 4 ... images.

    At the present weights, which stay as they are. The last shard is a whole minibatch.

    Returns:
        ``shard_images``, and medians ``shard_generate_seconds`` and ``shard_gradients_seconds``:
        numbers parted by spaces, one for each size of a shard.
    """
    whole = compute.rows(0)
    sizes = [*(2**k for k in range(whole.bit_length()) if 2**k < whole), whole]
    gradients = np.empty(compute.gradient_count, compute.dtype)
    rounds: list[list[tuple[float, float]]] = []
    begun = time.perf_counter()
    while len(rounds) < 1 + ROUNDS and (len(rounds) < 2 or time.perf_counter() - begun < SECONDS):
        rounds.append([_seconds(compute, size, gradients) for size in sizes])
    generate, update = np.median(np.array(rounds[1:]), axis=0).T  # the first one warms up
    return {
        "shard_images": " ".join(map(str, sizes)),
        "shard_generate_seconds": " ".join(f"{value:.6g}" for value in generate),
        "shard_gradients_seconds": " ".join(f"{value:.6g}" for value in update),
    }


def _seconds(compute: Compute, size: int, gradients: np.ndarray) -> tuple[float, float]:
    compute.attack(0, slice(0, size))  # what other sizes left in the caches is not training's
    start = time.perf_counter()
    batch = compute.attack(0, slice(0, size))
    made = time.perf_counter()
    compute.gradients(batch, gradients)
    return made - start, time.perf_counter() - made
