"""The IDX format of the MNIST files.

Two zero bytes, one byte for the type of the elements (8: unsigned byte), one for the number of
dimensions, each dimension as a big-endian 32-bit integer, then the elements in C order.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", "File formats".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from sparring.data.dataset import Bytes
from sparring.errors import SparringError

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_TYPES = {
    _UNSIGNED_BYTE: "unsigned byte",
    0x09: "signed byte",
    0x0B: "16-bit integer",
    0x0C: "32-bit integer",
    0x0D: "32-bit float",
    0x0E: "64-bit float",
}


def read_idx(path: Path, dimensions: int) -> Bytes:
    """The array of an IDX file of unsigned bytes, gzipped or not; read-only.

    Args:
        path: the file; whether it is gzipped is told by its content, not by its name.
        dimensions: how many dimensions it is to have: 3 for images, 1 for labels.

    Raises:
        SparringError: if the file cannot be read, or is not a whole IDX file of unsigned bytes
            with so many dimensions.
    """
    data = _content(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise SparringError(
            f"{path}: expected an IDX file beginning with the bytes "
            f"00 00 08 {dimensions:02x}, found {data[:4].hex(' ') or 'an empty file'}"
        )
    if data[2] != _UNSIGNED_BYTE:
        raise SparringError(f"{path}: expected unsigned bytes, found {_TYPES[data[2]]} elements")
    if data[3] != dimensions:
        raise SparringError(f"{path}: expected {dimensions} dimension(s), found {data[3]}")
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise SparringError(f"{path}: expected a header of {header} bytes, found {len(data)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", count=dimensions, offset=4))
    expected = header + math.prod(shape)
    if len(data) != expected:
        fault = "it is truncated" if len(data) < expected else "bytes trail behind"
        raise SparringError(
            f"{path}: expected {expected} bytes for an array of {' x '.join(map(str, shape))}, "
            f"found {len(data)}: {fault}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SparringError(f"{path}: expected a readable file: {error.strerror}") from error
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SparringError(
            f"{path}: expected a whole gzip file, but it is truncated or corrupt ({error})"
        ) from error
