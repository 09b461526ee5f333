"""Rank 0 trains, the others generate: the scheme of the original study, and its variations.

`options` says what can be varied; `trainer` and `generator` are the two roles; `messages`,
`inbox` and `outbox` carry batches, `weights` and `window` carry weights, `numbers` decides who
makes which minibatch.
"""

from sparring.strategies.pipeline.options import Pipeline

__all__ = ["Pipeline"]
