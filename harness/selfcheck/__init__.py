"""The harness measured by its own means: do its intervals cover, does it raise false alarms."""
