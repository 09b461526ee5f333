"""How fast Sparring attacks and trains beside the usual libraries: the same work, done by each.

``python -m sparring attack --benchmark`` measures. Every competitor lives in a process of its own,
so that no library changes another's threads or allocator; one of them computes at a time, and they
take turns in random order, round by round. What a competitor finds is checked before it is timed.
The tasks are an attack, an update, and an iteration of training, which is both.
"""
