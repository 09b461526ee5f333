"""Small networks as people publish them, written anew from their papers' descriptions.

Each is a function without arguments that makes one; images are as its name in `CORPUS` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.networks import ResidualBlock

#: From inputs, outputs and stride.
Block = Callable[[int, int, int], nn.Module]


def lenet5() -> nn.Module:
    """LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 1998: tanh, averages."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(),
        nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def lenet5_relu() -> nn.Module:
    """LeNet-5 as it is taught today."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def madry_mnist() -> nn.Module:
    """Madry and others, ICLR 2018, section 4."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 10),
    )  # fmt: skip


def wong_mnist() -> nn.Module:
    """Wong, Rice and Kolter, "Fast is better than free", ICLR 2020, on MNIST: strides."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 7 * 7, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def trades_small_cnn() -> nn.Module:
    """Zhang and others, "Theoretically Principled Trade-off", ICML 2019, on MNIST: dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 200), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


def carlini_wagner(channels: int, widths: tuple[int, int], flat: int, hidden: int) -> nn.Module:
    """Carlini and Wagner, S&P 2017, table 1: without padding, dropout between dense layers."""
    first, second = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 3), nn.ReLU(), nn.Conv2d(first, first, 3), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3), nn.ReLU(), nn.Conv2d(second, second, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, 10),
    )  # fmt: skip


def certified_small() -> nn.Module:
    """Gowal and others, "Scalable Verified Training", ICCV 2019: the small network, strides."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(3200, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def certified_medium() -> nn.Module:
    """The same paper's medium network."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 4, stride=2), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 4, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10),
    )  # fmt: skip


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias, batch normalisation and ReLU."""
    return [
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]  # fmt: skip


def conv_bn_net() -> nn.Module:
    """Convolution, batch normalisation, ReLU, max-pooling: the small network of many tutorials."""
    return nn.Sequential(
        *conv_bn_relu(1, 16), nn.MaxPool2d(2), *conv_bn_relu(16, 32), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.25),
        nn.Linear(128, 10),
    )  # fmt: skip


def all_convolutional() -> nn.Module:
    """After Springenberg and others, ICLR 2015 workshop: strides for pooling, global average."""
    return nn.Sequential(
        nn.Dropout(0.2), *conv_bn_relu(3, 24), *conv_bn_relu(24, 24, 2), nn.Dropout(0.5),
        *conv_bn_relu(24, 48), *conv_bn_relu(48, 48, 2), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip


def overlapping_pools() -> nn.Module:
    """After Krizhevsky, Sutskever and Hinton, 2012, at CIFAR's size: windows of 3, steps of 2."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2, padding=1),
        nn.Flatten(), nn.Linear(32 * 8 * 8, 10),
    )  # fmt: skip


def vgg11(batch_norm: bool) -> nn.Module:
    """Simonyan and Zisserman, ICLR 2015, configuration A at CIFAR's size."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(inputs, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] if batch_norm else []
        layers.append(nn.ReLU())
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def mlp(*sizes: int) -> nn.Module:
    """Linear layers with activations between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mlp_two() -> nn.Module:
    """Two hidden layers on the pixels."""
    return nn.Sequential(nn.Flatten(), mlp(784, 256, 128, 10))


def mlp_five() -> nn.Module:
    """Five hidden layers of 100, as certified training's fully connected ones."""
    return nn.Sequential(nn.Flatten(), mlp(784, 100, 100, 100, 100, 100, 10))


def cnn_gelu() -> nn.Module:
    """A small network with GELU."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64), nn.GELU(), nn.Linear(64, 10),
    )  # fmt: skip


def cnn_silu() -> nn.Module:
    """A small network with SiLU and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.SiLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.SiLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip


class PreActBlock(nn.Module):
    """He and others, ECCV 2016: normalised and cut off before each convolution.

    Where the shape changes, the skip is a convolution of what has been cut off.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, outputs, h / stride, w / stride)`` of ``(n, inputs, h, w)``."""
        out = F.relu(self.bn1(x))
        x = x if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        out = self.conv2(F.relu(self.bn2(out)))
        return cast("Tensor", out + x)


def stages(block: Block, inputs: int, widths: Sequence[int], count: int) -> list[nn.Module]:
    """So many blocks of each width, the size halved before each width but the first."""
    blocks: list[nn.Module] = []
    for number, width in enumerate(widths):
        for first in range(count):
            blocks.append(block(inputs, width, 2 if number and not first else 1))
            inputs = width
    return blocks


def resnet20(widths: Sequence[int] = (16, 32, 64), blocks: int = 3) -> nn.Module:
    """He and others, CVPR 2016, section 4.2, with n = 3."""
    return nn.Sequential(
        *conv_bn_relu(3, widths[0]), *stages(ResidualBlock, widths[0], widths, blocks),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10),
    )  # fmt: skip


def preact_resnet18(widths: Sequence[int] = (64, 128, 256, 512)) -> nn.Module:
    """The network of 18 layers with He and others' (ECCV 2016) blocks, at CIFAR's size."""
    return nn.Sequential(
        nn.Conv2d(3, widths[0], 3, padding=1, bias=False),
        *stages(PreActBlock, widths[0], widths, 2), nn.BatchNorm2d(widths[-1]), nn.ReLU(),
        nn.AvgPool2d(4), nn.Flatten(), nn.Linear(widths[-1], 10),
    )  # fmt: skip


def wide_resnet10_1() -> nn.Module:
    """Zagoruyko and Komodakis, BMVC 2016, of depth 10 and widening factor 1."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), *stages(PreActBlock, 16, (16, 32, 64), 1),
        nn.BatchNorm2d(64), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


MNIST, CIFAR = (1, 28, 28), (3, 32, 32)

#: Name to (an image's shape, the network).
CORPUS: Mapping[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = MappingProxyType(
    {
        "LeNet-5": (MNIST, lenet5),
        "LeNet-5, ReLU": (MNIST, lenet5_relu),
        "Madry, MNIST": (MNIST, madry_mnist),
        "Wong, MNIST": (MNIST, wong_mnist),
        "TRADES SmallCNN": (MNIST, trades_small_cnn),
        "Carlini-Wagner, MNIST": (MNIST, partial(carlini_wagner, 1, (32, 64), 1024, 200)),
        "Carlini-Wagner, CIFAR": (CIFAR, partial(carlini_wagner, 3, (64, 128), 3200, 256)),
        "certified small": (MNIST, certified_small),
        "certified medium": (MNIST, certified_medium),
        "conv-BN-ReLU": (MNIST, conv_bn_net),
        "all-convolutional": (CIFAR, all_convolutional),
        "overlapping pools": (CIFAR, overlapping_pools),
        "VGG-11": (CIFAR, partial(vgg11, batch_norm=False)),
        "VGG-11 BN": (CIFAR, partial(vgg11, batch_norm=True)),
        "ResNet-20": (CIFAR, resnet20),
        "PreActResNet-18": (CIFAR, preact_resnet18),
        "WideResNet-10-1": (CIFAR, wide_resnet10_1),
        "MLP, two layers": (MNIST, mlp_two),
        "MLP, five layers": (MNIST, mlp_five),
        "MLP, 41 features": ((41,), partial(mlp, 41, 64, 32, 2)),
        "CNN, GELU": (MNIST, cnn_gelu),
        "CNN, SiLU and BN": (MNIST, cnn_silu),
    }
)
