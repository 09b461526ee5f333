"""IDX files for tests, written independently of the reader."""

from __future__ import annotations

import gzip
import struct

import numpy as np


def idx_bytes(array, kind=8):
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def small_arrays(seed=0):
    """Contents of the four files by their stem."""
    random = np.random.default_rng(seed)
    arrays = {}
    for part, n in (("train", 12), ("t10k", 5)):
        arrays[f"{part}-images-idx3-ubyte"] = random.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = random.integers(0, 10, n, np.uint8)
    return arrays


def write_folder(folder, arrays, gzipped=False, separator="-"):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in arrays.items():
        name = stem.replace("-idx", f"{separator}idx") + (".gz" if gzipped else "")
        content = idx_bytes(array)
        (folder / name).write_bytes(gzip.compress(content) if gzipped else content)
    return folder
