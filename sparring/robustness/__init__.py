"""How robust a trained network is: many attacks, the worst of them, and checks of the attacks.

`suite` declares the attacks, `measure` runs one, `evaluate` runs them all, `sanity` checks that the
numbers mean something, `peers` asks other libraries.
"""
