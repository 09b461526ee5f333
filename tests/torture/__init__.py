"""`make torture`: runs of the harness killed, starved and lied to; what each kind costs is counted.

No unit tests: it takes minutes. `python -m tests.torture --help` tells of its cases.
"""
