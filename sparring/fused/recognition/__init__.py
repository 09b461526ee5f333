"""Reading a model's layers: `sparring.fused.recognise` has the two functions that others call.

`checks` refuses what tracing would not see, `tracing` makes the graph of the model's forward,
`walk` follows it as one chain, of which `operations` and `layers` append each link to a `chain`.
`fingerprint` tells whether a model may have changed since.
"""
