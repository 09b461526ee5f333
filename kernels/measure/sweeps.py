"""What ``python -m kernels measure`` measures: presets, and a user's own choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from kernels.declarations.kernel import Case, Kernel
from kernels.declarations.registry import chosen
from kernels.machines.caches import cores


@dataclass(frozen=True)
class Sweep:
    """Every kernel in every case.

    Attributes:
        batch_sizes, input_sizes, threads: of the cases; 0 threads are one on each core.
        kernels: names (see `chosen`); all if empty.
        variants: names; all that a kernel has if empty.
        simulated: batch sizes at which the caches are simulated, with one thread.
        simulated_variants: of which variants; all if empty.
    """

    batch_sizes: tuple[int, ...]
    input_sizes: tuple[int, ...] = (28,)
    threads: tuple[int, ...] = (1,)
    kernels: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    simulated: tuple[int, ...] = ()
    simulated_variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A kernel in a case, with the variants to measure.

    Attributes:
        kernel: what is computed.
        variants: names.
        case: the shape.
        threads: PyTorch's.
        simulated: variants whose caches are simulated.
    """

    kernel: Kernel
    variants: tuple[str, ...]
    case: Case
    threads: int
    simulated: tuple[str, ...]


@dataclass(frozen=True)
class Preset:
    """Sweeps, and how long each repetition lasts.

    Attributes:
        sweeps: what is measured.
        repetitions: of each variant.
        seconds: of a repetition, at least.
    """

    sweeps: tuple[Sweep, ...]
    repetitions: int
    seconds: float


_POWERS = tuple(2**n for n in range(11))
#: Convolutions, the large linear layer and ReLU at other sizes of images.
_LAYERS = ("conv1", "conv2", "linear1", "relu")
#: To simulate a cache takes minutes. One image, as the study has it: what it draws, and conv2.
_STUDY = (
    "conv1_forward", "conv2_forward", "linear1_forward", "network_forward", "network_backward",
)  # fmt: skip
#: The batch that the roofline shows and that times are predicted for.
BATCH = 16
#: What is predicted (`kernels.prediction`), with the variants: the study's layers in PyTorch and
#: the engine's whole kernels. Their traffic is simulated for both commands at once.
MODELLED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "network_forward": ("fused", "torch_nchw"),
        "input_gradient": ("fused",),
        "attack_step": ("fused",),
        "update": ("fused",),
        "conv1_forward": ("torch_nchw",),
        "conv2_forward": ("torch_nchw",),
        "conv2_backward_input": ("torch_nchw",),
        "linear1_forward": ("torch_nchw",),
        "linear1_backward_input": ("torch_nchw",),
        "relu_forward": ("torch_nchw",),
        "network_backward": ("torch_nchw",),
    }
)
_QUICK = ("torch_nchw", "torch_channels_last", "im2col", "fused")
_OPERATORS = ("torch_nchw", "torch_channels_last", "im2col", "toeplitz_sparse")

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "smoke": Preset((Sweep((16,)),), 2, 0.002),
        "laptop": Preset(
            (
                Sweep((1,), kernels=_STUDY, simulated=(1,), simulated_variants=("torch_nchw",)),
                *(Sweep((BATCH,), kernels=(name,), simulated=(BATCH,), simulated_variants=variants)
                  for name, variants in MODELLED.items()),
                Sweep((1, 4, 16, 64)),
                Sweep((256, 1024), variants=_QUICK),
                Sweep((4,), (56, 112, 224), kernels=_LAYERS, variants=_OPERATORS),
                Sweep((64, 1024), threads=(0,), variants=_QUICK),
            ),
            5, 0.01,
        ),
        "paper": Preset(
            (
                Sweep(_POWERS[:7], simulated=(1, 16, 64)),
                Sweep(_POWERS, variants=_QUICK),
                Sweep(_POWERS, (56, 112, 224), kernels=_LAYERS, variants=_OPERATORS),
                Sweep((16, 64, 256, 1024), threads=(2, 4, 8, 16, 0), variants=_QUICK),
            ),
            9, 0.02,
        ),
    }
)  # fmt: skip


def items(
    sweeps: Sequence[Sweep], kernels: Sequence[str] = (), variants: Sequence[str] = ()
) -> Iterator[Item]:
    """Everything that sweeps ask for, each case once.

    Args:
        sweeps: what to measure.
        kernels: only those of these names; all if empty.
        variants: the same.

    Raises:
        SparringError: if there is no such kernel.
    """
    wanted, seen = {kernel.name for kernel in chosen(kernels)}, set()
    for sweep in sweeps:
        available = len(cores())
        counts = sorted({count or available for count in sweep.threads})
        for kernel in chosen(sweep.kernels):
            names = tuple(
                name for name in kernel.variants
                if (not sweep.variants or name in sweep.variants)
                and (not variants or name in variants)
            )  # fmt: skip
            if kernel.name not in wanted or not names:
                continue
            for size in sweep.input_sizes:
                for batch in sweep.batch_sizes:
                    for threads in (count for count in counts if count <= available):
                        item = Item(
                            kernel, names, Case(batch, size), threads,
                            _simulated(sweep, names, batch, threads),
                        )  # fmt: skip
                        key = (kernel.name, item.case, threads)
                        if key not in seen:
                            seen.add(key)
                            yield item


def _simulated(sweep: Sweep, names: tuple[str, ...], batch: int, threads: int) -> tuple[str, ...]:
    if threads > 1 or batch not in sweep.simulated:
        return ()
    wanted = sweep.simulated_variants or names
    return tuple(name for name in names if name in wanted)


def simulating(item: Item) -> Item:
    """The same, with the caches of all variants simulated if it has one thread."""
    return replace(item, simulated=item.variants if item.threads == 1 else ())


def narrowed(
    preset: Preset,
    batch_sizes: Sequence[int],
    input_sizes: Sequence[int],
    threads: Sequence[int],
) -> Preset:
    """A preset with a user's own cases, if any are named: one sweep, else at 64, 28 and 1."""
    if not (batch_sizes or input_sizes or threads):
        return preset
    batches = tuple(batch_sizes) or (64,)
    own = Sweep(batches, tuple(input_sizes) or (28,), tuple(threads) or (1,))
    return replace(preset, sweeps=(own,))
