"""Arrays and tensors as data, whatever they come with."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import sparring
from sparring import checkpoint
from sparring.data.arrays import as_split
from sparring.errors import SparringError

IMAGES = torch.arange(64.0).reshape(4, 1, 4, 4) / 64  # exact also in bfloat16
LABELS = torch.tensor([0, 1, 2, 1])

KINDS = {
    "requires_grad": (IMAGES.clone().requires_grad_(), LABELS),
    "not a leaf": (IMAGES.clone().requires_grad_() * 1, LABELS),
    "bfloat16": (IMAGES.bfloat16(), LABELS.to(torch.uint64)),
    "float16": (IMAGES.half(), LABELS.to(torch.uint16)),
    "long double": (IMAGES.numpy().astype(np.longdouble), LABELS.numpy().astype(">u4")),
    "other bytes": (IMAGES.numpy().astype(">f8"), LABELS.numpy().astype(">i2")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("items", [False, True])
def test_data_of_every_floating_type_is_taken(kind, items):
    images, labels = KINDS[kind]
    if not items:
        data = (images, labels)
    elif isinstance(images, torch.Tensor):
        data = TensorDataset(images, labels)
    else:
        data = list(zip(images, labels, strict=True))
    split = as_split(data)
    assert torch.equal(torch.from_numpy(split.images(slice(1, 3))).float(), IMAGES[1:3])
    assert torch.equal(torch.from_numpy(split.labels()), LABELS)
    for nothing in (slice(0, 0), np.zeros(0, np.int64)):  # a rank's share of a small minibatch
        assert split.images(nothing).shape == (0, *IMAGES.shape[1:])
        assert split.images(nothing).dtype == split.images(slice(0, 1)).dtype
        assert (split.labels(nothing).shape, split.labels(nothing).dtype) == ((0,), np.int64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), batch_size=2).fit(updates=2)


def test_a_checkpoint_of_settings_that_are_numbers_of_numpy_can_be_read(tmp_path):
    path = tmp_path / "run.pt"

    def train(updates, **options):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=np.float64(0.1), momentum=np.float32(0))
        trainer = sparring.Trainer(
            model, optimizer, (IMAGES, LABELS), sparring.FGSM(np.float64(0.1)),
            batch_size=np.int64(2), seed=np.int64(1),
        )  # fmt: skip
        trainer.fit(updates=updates, checkpoint=path, **options)

    train(np.int64(1))
    found = checkpoint.load(path)
    assert type(found.settings["seed"]) is int
    assert found.settings["seed"] == 1
    assert found.optimizer["param_groups"][0]["lr"] == 0.1
    train(2, resume=True)
    assert checkpoint.load(path).updates == 2


def test_a_file_of_other_bytes_is_no_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    contents = [
        b"", b"hello\n", b"a,b\n1,2\n", b"\x80\x02X", b"PK\x03\x04abc", b"\x80\x04K\x05.",
        b"\x80\x02cnot_a_module\nName\n.", bytes(range(256)), b"\0" * 300,
    ]  # fmt: skip
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(SparringError, match=r"run\.pt: damaged, or no checkpoint of Sparr"):
            checkpoint.load(path)


@pytest.mark.parametrize("kept", [torch.ones(3), [1], {"format": 2}, {"weight": torch.ones(3)}, {
    "format": 2, "updates": 1, "model": 3, "optimizer": {}, "torch_random_state": torch.ones(1),
    "settings": {},
}])  # fmt: skip
def test_a_file_of_other_objects_is_no_checkpoint(kept, tmp_path):
    torch.save(kept, tmp_path / "run.pt")
    with pytest.raises(SparringError, match=r"run\.pt: damaged, or no checkpoint of Sparring"):
        checkpoint.load(tmp_path / "run.pt")
