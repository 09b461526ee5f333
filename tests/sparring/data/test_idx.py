from __future__ import annotations

import gzip

import numpy as np
import pytest
from idx_files import idx_bytes, small_arrays, write_folder

from sparring.data.idx import read_idx
from sparring.data.idx_folder import is_complete, read_folder
from sparring.errors import SparringError

CUBE = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = idx_bytes(CUBE)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_reads_what_was_written(tmp_path, compress):
    path = tmp_path / "cube"  # the name says nothing about compression
    path.write_bytes(compress(WHOLE))
    result = read_idx(path, dimensions=3)
    assert result.dtype == np.uint8
    assert np.array_equal(result, CUBE)


def test_an_array_without_elements_is_an_array(tmp_path):
    (tmp_path / "none").write_bytes(idx_bytes(np.empty((0, 28, 28))))
    assert read_idx(tmp_path / "none", dimensions=3).shape == (0, 28, 28)


BAD_FILES = {
    "empty": (
        b"",
        "expected an IDX file beginning with the bytes 00 00 08 03, found an empty file",
    ),
    "bad magic": (b"\x89PNG....", "beginning with the bytes 00 00 08 03, found 89 50 4e 47"),
    "unknown type": (b"\0\0\x07\x03", "beginning with the bytes 00 00 08 03, found 00 00 07 03"),
    "cut magic": (b"\0\0\x08", "beginning with the bytes 00 00 08 03, found 00 00 08"),
    "floats": (idx_bytes(CUBE, kind=0x0D), "expected unsigned bytes, found 32-bit float elements"),
    "labels": (idx_bytes(np.zeros(5)), "expected 3 dimension(s), found 1"),
    "cut header": (WHOLE[:10], "expected a header of 16 bytes, found 10 bytes"),
    "truncated": (
        WHOLE[:-1],
        "expected 40 bytes for an array of 2 x 3 x 4, found 39: it is truncated",
    ),
    "trailing": (
        WHOLE + b"\0\0",
        "expected 40 bytes for an array of 2 x 3 x 4, found 42: bytes trail behind",
    ),
    "huge": (
        b"\0\0\x08\x03" + b"\xff" * 12,
        "expected 79228162458924105385300197391 bytes for an array of 4294967295 x 4294967295 x "
        "4294967295, found 16: it is truncated",
    ),
    "cut gzip": (
        gzip.compress(WHOLE)[:-12],
        "expected a whole gzip file, but it is truncated or corrupt",
    ),
    "broken gzip": (
        gzip.compress(WHOLE)[:12] + b"\xff\xff\xff\xff" + gzip.compress(WHOLE)[16:],
        "expected a whole gzip file, but it is truncated or corrupt",
    ),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_bad_files_are_refused_in_one_sentence(tmp_path, fault):
    content, message = BAD_FILES[fault]
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(SparringError) as error:
        read_idx(path, dimensions=3)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_in_its_place(tmp_path):
    with pytest.raises(SparringError, match="gone: expected a readable file: No such file"):
        read_idx(tmp_path / "gone", dimensions=3)
    with pytest.raises(SparringError, match="expected a readable file: Is a directory"):
        read_idx(tmp_path, dimensions=3)


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_folder_under_all_names_in_use(tmp_path, gzipped, separator):
    arrays = small_arrays()
    folder = write_folder(tmp_path, arrays, gzipped, separator)
    assert is_complete(folder)
    (train_images, train_labels), (test_images, test_labels) = read_folder(folder)
    assert np.array_equal(train_images, arrays["train-images-idx3-ubyte"])
    assert np.array_equal(train_labels, arrays["train-labels-idx1-ubyte"])
    assert np.array_equal(test_images, arrays["t10k-images-idx3-ubyte"])
    assert np.array_equal(test_labels, arrays["t10k-labels-idx1-ubyte"])


BAD_FOLDERS = {
    "count": (
        {"train-labels-idx1-ubyte": np.zeros(11)},
        "train-labels-idx1-ubyte: expected 12 labels, one for each image of "
        "train-images-idx3-ubyte, found 11",
    ),
    "label": (
        {"t10k-labels-idx1-ubyte": np.array([0, 1, 10, 3, 4])},
        "t10k-labels-idx1-ubyte: expected labels of 0 to 9, found 10",
    ),
    "size": (
        {"t10k-images-idx3-ubyte": np.zeros((5, 32, 28))},
        "t10k-images-idx3-ubyte: expected images of 28 x 28 pixels, found 32 x 28",
    ),
    "none": (
        {"train-images-idx3-ubyte": np.zeros((0, 28, 28))},
        "train-images-idx3-ubyte: expected at least one image, found none",
    ),
    "swapped": (
        {"train-images-idx3-ubyte": np.zeros(12)},
        "train-images-idx3-ubyte: expected 3 dimension(s), found 1",
    ),
}


@pytest.mark.parametrize("fault", BAD_FOLDERS)
def test_bad_folders_are_refused(tmp_path, fault):
    changes, message = BAD_FOLDERS[fault]
    write_folder(tmp_path, small_arrays() | changes)
    with pytest.raises(SparringError) as error:
        read_folder(tmp_path)
    assert str(error.value) == str(tmp_path / message)


def test_missing_folder_and_missing_file(tmp_path):
    with pytest.raises(
        SparringError, match="gone: no such folder; expected one with the four files"
    ):
        read_folder(tmp_path / "gone")
    write_folder(tmp_path, small_arrays())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert not is_complete(tmp_path)
    with pytest.raises(SparringError, match=r"lacks t10k-labels-idx1-ubyte\[\.gz\]; expected"):
        read_folder(tmp_path)
