"""Downloads into the user's cache, verified by checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sparring.data.idx_folder import is_complete
from sparring.errors import SparringError


@dataclass(frozen=True)
class Mirror:
    """Where four files are to be had, and what they must be.

    Attributes:
        url: the folder on the web, with a slash at its end.
        checksums: SHA-256 of each (compressed) file by its name.
    """

    url: str
    checksums: Mapping[str, str]


#: By data set. The bytes are those of the authors' own sites, which the mirrors repeat.
MIRRORS: Mapping[str, Mirror] = MappingProxyType(
    {
        "mnist": Mirror(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            {
                "train-images-idx3-ubyte.gz": (
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
                ),
                "train-labels-idx1-ubyte.gz": (
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
                ),
                "t10k-images-idx3-ubyte.gz": (
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
                ),
            },
        ),
        "fashion-mnist": Mirror(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            {
                "train-images-idx3-ubyte.gz": (
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
                ),
                "train-labels-idx1-ubyte.gz": (
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
                ),
                "t10k-images-idx3-ubyte.gz": (
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
                ),
            },
        ),
    }
)


def cached(name: str) -> Path:
    """The folder of a data set in the user's cache, downloaded if it is not there.

    Processes that ask at the same time wait for the one that downloads.

    Raises:
        SparringError: if it is not there and cannot be downloaded.
    """
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("sparring").expanduser() / name
    except RuntimeError as error:  # nobody knows this user's home
        raise SparringError(
            f"there is no user's cache for {name} ({error}); {_name_a_folder(name)}"
        ) from None
    if not is_complete(folder):
        _download(name, folder)
    return folder


def _download(name: str, folder: Path) -> None:
    import filelock
    import pooch

    mirror = MIRRORS[name]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            for file, checksum in mirror.checksums.items():
                # Does nothing where the file is there and right; writes it whole or not at all.
                pooch.retrieve(
                    mirror.url + file, known_hash=f"sha256:{checksum}", fname=file, path=folder
                )
    except (OSError, ValueError) as error:
        raise SparringError(
            f"{name} is not in {folder} and could not be downloaded from {mirror.url} "
            f"({type(error).__name__}); {_name_a_folder(name)}"
        ) from error


def _name_a_folder(name: str) -> str:
    files = ", ".join(MIRRORS[name].checksums)
    return (
        f"expected a folder that holds {files}: name it by --data, by the environment variable "
        "SPARRING_DATA or by make's DATA=; data set mnist-5k needs no download"
    )
