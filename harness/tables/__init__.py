"""The tables: how they are written, read, merged, summarised and compared."""
