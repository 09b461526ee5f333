"""Branches, additions and what stands on a skip."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.fused.network import Addition, Affine, Convolution, Padding, Pooling
from tests.sparring.fused.recognition.recognising import Net, between, check, refused


def _residual(self, x):
    y = self.conv(x)
    return self.fc((F.relu(y) + y).flatten(1))


def _residual_in_place(self, x):
    y = self.conv(x)
    z = torch.tanh(y)
    z += y
    return self.fc(F.relu(z).flatten(1))


def _cut_off_in_place_for_both(self, x):
    y = torch.tanh(self.conv(x))
    z = torch.sigmoid(F.relu(y, inplace=True))
    return self.fc(torch.add(z, y).flatten(1))


def _written_where_it_stood(self, x):
    y = self.conv(x)
    y.relu_()
    return self.fc(y.flatten(1))


def _added_to_in_place(self, x):
    y = self.conv(x)
    z = torch.tanh(y)
    y.add_(z)
    return self.fc(torch.sigmoid(y).add(self.pool(y)).flatten(1))


def _identities(self, x):
    y = self.nothing(self.conv(x))
    return self.fc((torch.tanh(self.nothing(y)) + y).flatten(1))


@pytest.mark.parametrize(
    ("forward", "sources"),
    [
        (_residual, ((-1,), (0,), (1, 0))),
        (_residual_in_place, ((-1,), (0,), (1, 0))),
        (_cut_off_in_place_for_both, ((-1,), (0,), (1,), (2,), (3, 2))),
        (_written_where_it_stood, ((-1,), (0,))),
        (_added_to_in_place, ((-1,), (0,), (0, 1), (2,), (2,), (3, 4))),
        (_identities, ((-1,), (0,), (1, 0))),
    ],
)
def test_branches(forward, sources):
    pool = nn.MaxPool2d(3, 1, padding=1)
    found = check(Net(forward, nothing=nn.Identity(), pool=pool)).network
    assert found.taken() == sources


def test_a_branch_of_the_image():
    def forward(self, x):
        return self.fc((self.same(x) + x).flatten(1))

    found = check(Net(forward, same=nn.Conv2d(2, 2, 3, padding=1), fc=nn.Linear(128, 4), conv=None))
    assert found.network.sources == ((-1,), (0, -1))


def test_nothing_becomes_part_of_a_layer_whose_output_is_taken_twice():
    def forward(self, x):
        y = self.conv(x)
        return self.fc((F.max_pool2d(F.relu(self.norm(y)), 1) + y).flatten(1))

    found = check(Net(forward, norm=nn.BatchNorm2d(3)).eval()).network
    assert [type(layer) for layer in found.front] == [Convolution, Affine, Pooling, Addition]
    assert not found.front[0].relu
    assert found.front[1].relu


@pytest.mark.parametrize("dims", [(2, 3), [-1, -2], (-2, 3)])
@pytest.mark.parametrize("keep", [False, True])
def test_global_average_pooling_as_a_mean(dims, keep):
    model = Net(lambda self, x: self.head(self.conv(x).mean(dims, keepdim=keep).flatten(1)))
    model.head, model.fc = nn.Linear(3, 4), nn.Identity()
    assert check(model).network.front[1] == Pooling(True, 3, 6, 6, (6, 6), (6, 6))


@pytest.mark.parametrize(
    ("operation", "size", "layer"),
    [
        (lambda x: x[:, :, ::2, ::2], 27, Pooling(True, 3, 6, 6, (1, 1), (2, 2))),
        (lambda x: x[:, :, ::4], 36, Pooling(True, 3, 6, 6, (1, 1), (4, 1))),
        (lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)), 216, Padding(3, 6, 6, before=1, after=2)),
        (lambda x: F.pad(x, (1, 2)), 162, Padding(3, 6, 6, left=1, right=2)),
    ],
)
def test_parts_of_a_skip(operation, size, layer):
    model = between(operation)
    model.fc = nn.Linear(size, 4)
    assert check(model).network.front[1] == layer


def _three_branches(self, x):
    y = self.conv(x)
    return self.fc((torch.tanh(y) + (torch.sigmoid(y) + F.elu(y))).flatten(1))


def _two_additions(self, x):
    y = self.conv(x)
    z = torch.tanh(self.conv2(x))
    return self.fc(((z + y) + y).flatten(1))


def _many_of_the_image(self, x):
    y = torch.tanh(self.conv2(x)) + torch.sigmoid(self.conv2b(x)) + self.conv(x)
    return self.fc((y + self.conv2c(x) + y).flatten(1))


@pytest.mark.parametrize(
    ("forward", "copies"), [(_three_branches, 1), (_two_additions, 1), (_many_of_the_image, 3)]
)
def test_copies_of_what_many_take(forward, copies):
    convolutions = {name: nn.Conv2d(2, 3, 3) for name in ("conv2", "conv2b", "conv2c")}
    model = Net(forward, **convolutions)
    for name in [name for name in convolutions if name not in forward.__code__.co_names]:
        delattr(model, name)
    network = check(model).network
    assert sum(isinstance(layer, Padding) for layer in network.front) == copies
    taken = [source for sources in network.taken() for source in sources]
    additions = [source for sources in network.taken() if len(sources) > 1 for source in sources]
    assert max(map(taken.count, taken)) == 2
    assert max(map(additions.count, additions)) == 1


def _unused(self, x):
    y = self.conv(x)
    self.conv2(x)
    return self.fc(y.flatten(1))


def _branch_of_rows(self, x):
    y = self.fc(self.conv(x).flatten(1))
    return F.relu(y) + y


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (_unused, "a value that isn't that of the layer before"),
        (_branch_of_rows, "without branches"),
        (lambda self, x: self.fc((self.conv(x) + 1).flatten(1)), "adds what is not another"),
        (lambda self, x: self.fc((self.conv(x) + x).flatten(1)), "adds (2, 8, 8) to (3, 6, 6)"),
        (lambda self, x: F.pad(self.conv(x), (1, -1)), "has padding (1, -1)"),
        (lambda self, x: F.pad(self.conv(x), (1, 1), value=2.0), "value 2.0; the fused engine"),
        (lambda self, x: F.pad(self.conv(x), (1, 1), "reflect"), "has mode 'reflect'"),
        (lambda self, x: self.conv(x).mean(1), "is over dimensions 1"),
        (lambda self, x: self.conv(x)[:, :, 1::2], "takes part of a value"),
        (lambda self, x: self.conv(x)[:, ::2], "takes part of a value"),
        (lambda self, x: self.conv(x)[0], "takes part of a value"),
    ],
)
def test_other_branches(forward, reason):
    assert reason in refused(Net(forward, conv2=nn.Conv2d(2, 3, 3)))
