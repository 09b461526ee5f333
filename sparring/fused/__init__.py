"""The fused engine: whole attacks and updates in one compiled C++ kernel.

`recognise` reads a model's layers, `header` writes their shapes down for the kernels in ``cpp/``,
`build` compiles and caches them, `layouts` chooses one for a batch, and `engine` is what the rest
of the library sees.
"""
