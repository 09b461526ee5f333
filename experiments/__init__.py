"""The studies: one TOML each, and the workloads that they run."""
