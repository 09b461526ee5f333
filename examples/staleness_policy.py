"""A staleness policy of one's own: the end of an attack counts, not its beginning."""

import sys

import torch

import sparring
from sparring.strategies import Pipeline


def fresh_at_the_end(version: int, versions: tuple[tuple[int, int], ...]) -> bool:
    """Whether the last ascent steps saw weights that are at most one update old.

    Rank 0 asks this of every batch: ``version`` counts the updates so far, and ``versions`` holds
    (ascent step, version of the weights from this step on). What is refused is made again.
    """
    last_version = versions[-1][1]
    return version - last_version <= 1


updates = int(sys.argv[1]) if len(sys.argv) > 1 else 100
model = sparring.networks.build("study", seed=0)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
attack = sparring.PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True)
data = sparring.data.load("mnist-5k")
strategy = Pipeline(staleness_policy=fresh_at_the_end)
trainer = sparring.Trainer(model, optimizer, data, attack, strategy=strategy)
history = trainer.fit(updates=updates)
robust = trainer.accuracy(attack, images=500)  # by all ranks together
if trainer.comm.rank == 0:
    refused = history.log.counters["batches_dropped"]
    print(f"robust accuracy {robust:.3f}; {refused} batches were refused and made again")
