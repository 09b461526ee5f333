"""The networks that are trained by name, and normalisation as a layer.

All are plain ``torch.nn.Module`` classes that take images ``(n, 1, 28, 28)`` and return raw
logits ``(n, 10)``. Nothing else in the library asks for more, so any module works in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from sparring.errors import did_you_mean
from sparring.randomness import check_seed


class StudyCNN(nn.Module):
    """The network of the original study: two 5x5 convolutions without pooling.

    conv 1->10, ReLU, conv 10->20, ReLU, linear 8000->50, ReLU, linear 50->10; 405,840 parameters.

    Source: N. Tumma, R. Mittal and others, "Parallel Adversary Generation for Training Robust
    Neural Networks", Harvard CS205, 2022.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.linear1 = nn.Linear(20 * 20 * 20, 50)
        self.linear2 = nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Raw logits ``(n, 10)`` of images ``(n, 1, 28, 28)``."""
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.relu(self.linear1(x.flatten(1)))
        logits: Tensor = self.linear2(x)
        return logits


class MadryCNN(nn.Module):
    """The MNIST network of the L-infinity robustness benchmark, with 3,274,634 parameters.

    conv 1->32 5x5 same, ReLU, max-pool 2, conv 32->64 5x5 same, ReLU, max-pool 2, linear
    3136->1024, ReLU, linear 1024->10. The weights start from PyTorch's own initialisation.

    Source: Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards Deep Learning Models Resistant to
    Adversarial Attacks", ICLR 2018, section 4.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=5, padding="same")
        self.conv2 = nn.Conv2d(32, 64, kernel_size=5, padding="same")
        self.linear1 = nn.Linear(64 * 7 * 7, 1024)
        self.linear2 = nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Raw logits ``(n, 10)`` of images ``(n, 1, 28, 28)``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.linear1(x.flatten(1)))
        logits: Tensor = self.linear2(x)
        return logits


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to their input.

    Where the size halves, the input is every second pixel, with channels of zeros (option A).

    Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.zeros = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, outputs, h / stride, w / stride)`` of ``(n, inputs, h, w)``."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.zeros, self.zeros))
        return F.relu(out + x)


class ResNet20(nn.Module):
    """The residual network of 20 layers for small images: 16, 32 and 64 channels.

    Args:
        channels: of an image.

    Source: He, Zhang, Ren and Sun, CVPR 2016, section 4.2, with n = 3; 269,434 parameters for
    images of one channel.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = (16, 16, 16, 32, 32, 32, 64, 64, 64)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(inputs, outputs, 1 if inputs == outputs else 2)
                for inputs, outputs in pairwise((16, *widths))
            )
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Raw logits ``(n, 10)`` of images ``(n, channels, h, w)``."""
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class Normalize(nn.Module):
    """Normalisation ``(x - mean) / std`` as the first layer of a model.

    With it inside the model, an attack's epsilon and bounds stay in the units of the pixels:
    ``nn.Sequential(Normalize(0.1307, 0.3081), StudyCNN())`` takes images in [0, 1].

    Args:
        mean: one number, or one for each channel.
        std: the same, each above 0.

    Raises:
        ValueError: if a standard deviation is not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        if not bool((self.std > 0).all()):
            raise ValueError(f"std must be above 0 in every channel, not {std}")

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images, in the shape of ``x``: ``(n, channels, height, width)``."""
        return (x - self.mean) / self.std


#: The networks that ``build`` knows by name.
NETWORKS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {"study": StudyCNN, "madry": MadryCNN, "resnet20": ResNet20}
)


def build(name: str, seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A freshly initialised network on the CPU, the same for the same seed.

    The weights are drawn in float32 and then converted, so that networks of different dtype
    begin at the same point. The global generators are left as they were.

    Args:
        name: one of `NETWORKS`.
        seed: seed of the initial weights, 0 .. 2**64 - 1.
        dtype: the dtype of all weights.

    Raises:
        ValueError: if there is no network of that name, or the seed is out of its range.
    """
    check_seed(seed)
    if name not in NETWORKS:
        raise ValueError(
            f"network must be one of {', '.join(sorted(NETWORKS))}, not {name!r}"
            f"{did_you_mean(name, NETWORKS)}"
        )
    # torch.manual_seed would also seed every accelerator, whose state fork_rng(devices=[]) does
    # not bring back. The initialisers draw on the CPU, so its generator is the only one to seed.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return NETWORKS[name]().to(dtype)
