"""The command line: python -m sparring train, evaluate, gallery, attack, calibrate."""
