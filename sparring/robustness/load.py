"""A checkpoint's network, and the images that it was trained for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sparring import checkpoint, data, networks
from sparring.checkpoint import Checkpoint
from sparring.data import Dataset
from sparring.errors import SparringError

#: The networks that a checkpoint may name, by their classes.
_BY_CLASS = {getattr(kind, "__name__", ""): name for name, kind in networks.NETWORKS.items()}


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        model: in eval mode.
        network: one of `sparring.networks.NETWORKS`.
        dataset: in the units that the network takes.
        normalized: whether these are normalised pixels.
        updates: that it was trained for.
        path, digest: the checkpoint, and 12 hexadecimal digits of its SHA-256.
        attack: what it was trained against, as far as the checkpoint tells.
    """

    model: nn.Module
    network: str
    dataset: Dataset
    normalized: bool
    updates: int
    path: Path
    digest: str
    attack: str


def load(
    path: Path,
    *,
    network: str | None = None,
    dataset: str | None = None,
    folder: Path | None = None,
    normalized: bool | None = None,
) -> Trained:
    """Read a checkpoint; what is not given is taken from it, or is what `train` does by default.

    Raises:
        SparringError: if it is no checkpoint, or not of this network.
    """
    found = checkpoint.load(path)
    network = network or _BY_CLASS.get(str(found.about.get("network")), "study")
    dataset = dataset or str(found.about.get("dataset") or "mnist-5k")
    bounds = found.about.get("bounds") or [0.0, 1.0]
    if normalized is None:
        normalized = bounds[0] < 0
    return Trained(
        network_of(found, network, path), network,
        data.load(dataset, folder, normalize=normalized), normalized, found.updates,
        path, hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        str(found.about.get("attack", "")),
    )  # fmt: skip


def network_of(found: Checkpoint, network: str, path: Path) -> nn.Module:
    """The network with a checkpoint's weights, in eval mode.

    Raises:
        SparringError: if it is of another network, or its weights are not finite.
    """
    model = networks.build(network, 0)
    try:
        model.load_state_dict(found.model)
    except RuntimeError:
        raise SparringError(
            f"{path}: holds no weights of network '{network}'; name another with --network"
        ) from None
    for name, value in model.state_dict().items():
        if not bool(value.isfinite().all()):
            raise SparringError(
                f"{path}: '{name}' holds numbers that are not finite, so training diverged and "
                "there is no network to attack; name a checkpoint from before"
            )
    return model.eval()
