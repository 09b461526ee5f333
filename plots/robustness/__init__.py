"""Whether parallel training costs robustness: paired by seed, with verdicts."""
