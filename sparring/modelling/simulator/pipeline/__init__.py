"""The pipeline, turn by turn: rank 0 trains, the others generate.

`world` holds what all see: the clock, the ranks, who computes. `trainer` and `generator` play the
two roles as `sparring.strategies.pipeline` has them; `inbox` and `weights` are the two directions;
`credits`, `window` and `queues` are the ways that weights take.
"""

from sparring.modelling.simulator.pipeline.run import simulate_pipeline

__all__ = ["simulate_pipeline"]
