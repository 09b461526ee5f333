"""What is attacked: a network and images, the same for every competitor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring import networks
from sparring.batches import Batches
from sparring.data import Dataset
from sparring.errors import SparringError
from sparring.evaluation import count_correct
from sparring.randomness import permutation

#: Clean accuracy beyond which a network counts as trained; clothes are harder than digits.
ACCURACY, FASHION_ACCURACY = 0.93, 0.8
_CHUNK, _MOST_UPDATES, _TEST_IMAGES = 50, 2000, 500


@dataclass(frozen=True, eq=False)
class Problem:
    """A network and images to attack.

    Attributes:
        network: its name.
        model: in eval mode, float32.
        images: float32 ``(n, 1, 28, 28)``.
        labels: int64 ``(n,)``.
    """

    network: str
    model: nn.Module
    images: Tensor
    labels: Tensor

    def save(self, path: Path) -> None:
        """Write it for the processes of the competitors."""
        torch.save({"network": self.network, "weights": self.model.state_dict(),
                    "images": self.images, "labels": self.labels}, path)  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Read what `save` wrote."""
        content = torch.load(path, weights_only=True)
        model = networks.build(content["network"], 0)
        model.load_state_dict(content["weights"])
        return cls(content["network"], model.eval(), content["images"], content["labels"])


def make(network: str, dataset: Dataset, images: int, seed: int, weights: str) -> Problem:
    """Make a network, its weights from `plan.WEIGHTS`, and choose images, by seed.

    The images are of the training half, which has enough for every batch, and which adversarial
    training attacks.

    Raises:
        SparringError: if there are too few images, or training fails.
    """
    if images > len(dataset.train):
        raise SparringError(
            f"{dataset.name} has {len(dataset.train)} images to train on, fewer than the batch "
            f"size {images}"
        )
    if weights == "trained":
        model = trained(network, dataset, seed)
    else:
        model = networks.build(network, seed).eval()
    chosen = permutation(seed, 0, len(dataset.train))[:images]
    return Problem(
        network, model, torch.from_numpy(dataset.train.images(chosen)),
        torch.from_numpy(dataset.train.labels(chosen)),
    )  # fmt: skip


def trained(network: str, dataset: Dataset, seed: int) -> nn.Module:
    """A network trained on clean images until it gets more than `ACCURACY` of test images right.

    Raises:
        SparringError: if it does not.
    """
    accuracy = FASHION_ACCURACY if dataset.name == "fashion-mnist" else ACCURACY
    model = networks.build(network, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = Batches(len(dataset.train), 64, seed)
    tested = range(min(_TEST_IMAGES, len(dataset.test)))
    reached = 0.0
    for update in range(_MOST_UPDATES):
        _, chosen = batches.indices(update)
        x = torch.from_numpy(dataset.train.images(chosen))
        loss = F.cross_entropy(model(x), torch.from_numpy(dataset.train.labels(chosen)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if update % _CHUNK == _CHUNK - 1:
            reached = count_correct(model, dataset.test, tested) / len(tested)
            if reached > accuracy:
                optimizer.zero_grad()
                return model.eval()
    raise SparringError(
        f"network {network} got {reached:.3f} of {dataset.name}'s test images right after "
        f"{_MOST_UPDATES} updates, expected more than {accuracy}"
    )
