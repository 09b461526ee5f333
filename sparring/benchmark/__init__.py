"""How fast Sparring's attacks are beside the usual libraries: the same attack, run by each.

``python -m sparring attack --benchmark`` measures. Every competitor lives in a process of its own,
so that no library changes another's threads or allocator; one of them computes at a time, and they
take turns in random order, round by round. What a competitor finds is checked before it is timed.
"""
