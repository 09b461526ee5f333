"""Does parallel training cost robustness? Trained and judged under each strategy."""

from experiments.robustness.workload import Robustness

__all__ = ["Robustness"]
