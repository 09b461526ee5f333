"""The fused engine of a model: whole attacks and whole updates in one compiled kernel."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from sparring.errors import SparringError
from sparring.fused import agreement
from sparring.fused.building.build import BuildError, Job, build_all, machine_isa
from sparring.fused.folding import BatchNorm, Folding
from sparring.fused.header import header
from sparring.fused.layouts import Piece, layouts_of, plan
from sparring.fused.library import LabelError, Library, Pointers, Settings
from sparring.fused.packed import ModelWeights, PackedSpace
from sparring.fused.recognise import UnsupportedError, fingerprint, recognise
from sparring.modes import made_in_inference_mode

log = logging.getLogger(__name__)

SOURCE = Path(__file__).parent / "cpp" / "engine.cpp"


class Engine:
    """A compiled kernel that computes what the model computes.

    The model's weights are read anew after every `refresh`, and those that changed are packed
    again; or they are read where they are trained (`read_from`). Threads are PyTorch's intra-op
    setting at the call.

    Attributes:
        network: the model's layers.
        parameters: in the order in which `gradients` takes their gradients' places.
        only_attacks: why attacks are all that it computes; empty if it computes updates, too.
        from_inference_mode: whether the model holds tensors made there.

    Args:
        model: see `sparring.compile`.
        image_shape: (channels, height, width), or (features,).

    Raises:
        UnsupportedError: if the model is not one that the kernels can compute.
        BuildError: if the kernel cannot be built.
        SelfCheckError: if what was built computes something else.
    """

    def __init__(self, model: nn.Module, image_shape: Sequence[int]) -> None:
        self._recognised = recognise(model, tuple(image_shape))
        self._fingerprint = fingerprint(model)
        self.from_inference_mode = made_in_inference_mode(model)  # part of the fingerprint
        self.network = self._recognised.network
        self.parameters = self._recognised.parameters
        self.only_attacks = self._recognised.only_attacks
        isa = machine_isa()
        text = header(self.network, updates=not self.only_attacks)
        self.isa, self._kinds = isa.name, layouts_of(self.network, isa)
        paths = build_all(
            [Job(SOURCE, {"network.h": text}, dict(kind.defines), isa) for kind in self._kinds]
        )
        try:
            self._libraries = [Library(path) for path in paths]
        except OSError as error:
            raise BuildError(f"the built library cannot be loaded: {error}") from None
        self._lock = threading.Lock()
        #: Where the parameters stand in the flat tensors of `gradients` and `read_from`.
        self.space = PackedSpace(self._libraries[0], self.parameters)
        self._own: ModelWeights | None = None  # made when first needed
        self._trained: Tensor | None = None
        # Layouts derive what they need from the weights when they are first used with them.
        self._version, self._derived = 0, [-1] * len(self._kinds)
        self._stale = True
        kinds = self._kinds  # not self: an engine must go at once when its model does
        self._plan = lru_cache(maxsize=64)(lambda n, threads: plan(n, threads, kinds))
        self._check(model)

    def fits(self, model: nn.Module) -> bool:
        """Whether the model is still the one that was compiled, but for its weights' values."""
        return bool(fingerprint(model) == self._fingerprint)

    def fits_images(self, image_shape: Sequence[int]) -> bool:
        """Whether it takes images of this shape."""
        return tuple(image_shape) == self.network.shape

    def refresh(self) -> None:
        """Take the model's weights as they are now, unless others are read."""
        self._stale = True

    def read_from(self, packed: Tensor | None) -> None:
        """Read weights from a packed tensor instead of the model's parameters; None ends that.

        To be called again whenever they have changed.
        """
        with self._lock:
            self._trained, self._stale = packed, True
            self._version += 1

    @property
    def reads_elsewhere(self) -> bool:
        """Whether weights are read from `read_from`'s tensor: the model's own do not matter."""
        return self._trained is not None

    def attack(
        self,
        start: Tensor,
        centre: Tensor,
        labels: Tensor,
        settings: Settings,
        steps: int,
    ) -> tuple[Tensor, bool]:
        """Images after ``steps`` steps from ``start``; all float32 ``(n, c, h, w)``.

        And whether some image is marked, by pixels that are no numbers: its gradient was not
        finite.
        """
        count = start.shape[0]  # `len` of a tensor takes longer
        start, centre = self._images(start), self._images(centre, count)
        labels = self._labels(labels, count)
        out, marked = torch.empty_like(start), False
        with self._lock:
            for library, part, threads in self._parts(count):
                try:
                    marked |= library.attack(
                        _rows(start, part), _rows(centre, part), _rows(labels, part),
                        _rows(out, part), settings, steps, threads,
                    )  # fmt: skip
                except LabelError:
                    raise self._bad(labels) from None
        return out, marked

    def input_gradient(self, x: Tensor, labels: Tensor, objective: int) -> Tensor:
        """Each image's gradient of an objective (a number of ``cpp/objective.hpp``)."""
        x, labels = self._images(x), self._labels(labels, len(x))
        out = torch.empty_like(x)
        with self._lock:
            for library, part, threads in self._parts(len(x)):
                try:
                    library.input_gradient(x[part], labels[part], out[part], objective, threads)
                except LabelError:
                    raise self._bad(labels) from None
        return out

    def logits(self, x: Tensor) -> Tensor:
        """Logits ``(n, classes)`` of images ``(n, c, h, w)``."""
        x = self._images(x)
        out = torch.empty(len(x), self.network.classes, dtype=torch.float32, device="cpu")
        with self._lock:
            for library, part, threads in self._parts(len(x)):
                library.logits(x[part], out[part], threads)
        return out

    @property
    def factor_room(self) -> int:
        """Images whose gradients can be written as factors; 0 where that saves nothing."""
        return self._libraries[0].factor_room

    @property
    def factor_size(self) -> int:
        """Numbers of one image's factors."""
        return self._libraries[0].factor_size

    def gradients(
        self, x: Tensor, labels: Tensor, scale: float, out: Tensor, *, factors: bool = False
    ) -> float:
        """Write ``scale`` times the gradient of the summed cross-entropy; return that sum.

        Not of a model that does something else in train mode: see `only_attacks`.

        Args:
            x: images ``(n, c, h, w)``; at least one, and `factor_room` at most, for factors.
            labels: int64 ``(n,)``.
            scale: such as 1 over the size of the batch.
            out: contiguous float32 ``(space.size,)``: the gradients in the packed space, and zeros
                between them. A layer without bias has the gradient all the same.
            factors: whether large linear layers write, in their gradient's place, each image's
                inputs and its gradient of the outputs, for `add_ranks` to multiply.

        Raises:
            UnsupportedError: see `only_attacks`.
            ValueError: if an argument is not as said.
        """
        if self.only_attacks:
            raise UnsupportedError(f"the fused engine computes no updates: {self.only_attacks}")
        x, labels = self._images(x), self._labels(labels, len(x))
        if out.shape != (self.space.size,) or out.dtype != torch.float32 or not out.is_contiguous():
            raise ValueError(f"gradients need contiguous float32 ({self.space.size},)")
        if factors and not 0 < len(x) <= self.factor_room:
            raise ValueError(
                f"factors of 1 to {self.factor_room} images have room, not of {len(x)}"
            )
        if len(x) == 0:
            out.zero_()
            return 0.0
        with self._lock:
            try:
                return sum(
                    library.gradients(
                        _rows(x, part),
                        _rows(labels, part),
                        scale,
                        out,
                        threads,
                        add=number > 0,
                        factors=part.start if factors else -1,
                    )
                    for number, (library, part, threads) in enumerate(self._parts(len(x)))
                )
            except LabelError:
                raise self._bad(labels) from None

    def add_ranks(self, ranks: Pointers, factors: Sequence[int], part: slice, out: Tensor) -> None:
        """Write to ``out[part]`` the sum of what `gradients` wrote on several ranks.

        Args:
            ranks: where their packed tensors are.
            factors: images that each wrote as factors; -1 for a gradient.
            part: of the packed space, from the beginning of a cache line on.
            out: a packed tensor.
        """
        self._libraries[0].add_ranks(ranks, factors, part, out, torch.get_num_threads())

    def _images(self, x: Tensor, count: int | None = None) -> Tensor:
        """Contiguous images, or ValueError: the kernel reads memory that it doesn't check."""
        if x.dtype != torch.float32 or tuple(x.shape[1:]) != self.network.shape or not x.is_cpu:
            raise ValueError(
                f"images must be float32 (n, {', '.join(map(str, self.network.shape))}) on the "
                f"CPU, not {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)} on {x.device}"
            )
        if count not in (None, x.shape[0]):
            raise ValueError(f"there are {count} images to start from and {len(x)} clean ones")
        return x.contiguous()

    def _labels(self, labels: Tensor, count: int) -> Tensor:
        """Contiguous labels, one for each image, or ValueError; kernels look at their values."""
        if labels.dtype != torch.int64 or labels.shape != (count,) or not labels.is_cpu:
            raise ValueError(
                f"labels must be int64 ({count},) on the CPU, not "
                f"{str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)} on "
                f"{labels.device}"
            )
        return labels.contiguous()

    def _bad(self, labels: Tensor) -> LabelError:
        """What the kernel refuses, with the labels that there are."""
        return LabelError(
            f"labels must be 0 to {self.network.classes - 1}, the model's classes, not "
            f"{int(labels.min())} to {int(labels.max())}"
        )

    def _parts(self, count: int) -> list[tuple[Library, slice, int]]:
        threads = torch.get_num_threads()
        pieces: list[Piece] = self._plan(count, threads)
        weights = self._weights()
        for piece in pieces:
            if self._derived[piece.layout] != self._version:
                self._libraries[piece.layout].use(weights)
                self._derived[piece.layout] = self._version
        return [(self._libraries[p.layout], p.images, threads) for p in pieces]

    def _weights(self) -> Tensor:
        """The packed weights that are to be read now."""
        if self._trained is not None:
            return self._trained
        if self._own is None:
            folding = self._recognised.folding()
            self._own = ModelWeights(self.space, self._libraries[0], folding)
        if self._stale:
            self._stale = False  # first: another thread's `refresh` in the middle is not to be lost
            if self._own.look():
                self._version += 1
        return self._own.packed

    def _check(self, model: nn.Module) -> None:
        """Compare every layout with the model itself, in float64, on a few random images.

        The weights are random too: a model's own may be NaN, or so large that float32 and float64
        differ.

        Raises:
            SelfCheckError: if one of them does not agree (`sparring.fused.agreement`).
        """
        generator = torch.Generator("cpu").manual_seed(0)
        weights = self._random_weights(generator)
        with torch.inference_mode(mode=False), torch.enable_grad():
            exact = copy.deepcopy(model).double().eval()
            twins = dict(zip(map(id, model.parameters()), exact.parameters(), strict=True))
            modules = dict(zip(model.modules(), exact.modules(), strict=True))
            wanted = []  # the float64 twins in the order of `self.parameters`
            for parameter, weight in zip(self.parameters, weights, strict=True):
                if parameter is not None and weight is not None:
                    wanted.append(twins[id(parameter)].requires_grad_(True))
                    wanted[-1].data.copy_(weight)
            norms, before = (
                [None if norm is None else cast("BatchNorm", modules[norm]) for norm in some]
                for some in (self._recognised.norms, self._recognised.norms_before)
            )
            for norm in (*norms, *before):
                if norm is not None:
                    _randomize(norm, generator)
            folding = Folding(weights, norms, before)
            folding.look()
            packed = self.space.zeros()
            self.space.pack(folding.tensors, packed)
            for kind, library in zip(self._kinds, self._libraries, strict=True):
                library.use(packed)
                found = self._compared(library, exact, wanted, generator)
                if not found.worst < agreement.BOUND:
                    raise SelfCheckError(
                        f"the {kind.name} kernel's gradients are off by {found.worst:.1e} of "
                        "the largest"
                    )

    def _compared(
        self,
        library: Library,
        exact: nn.Module,
        wanted: Sequence[Tensor],
        generator: torch.Generator,
    ) -> agreement.Agreement:
        """One layout beside float64; of a block of images and one more."""

        def of_images(x: Tensor, y: Tensor) -> Tensor:
            out = torch.empty_like(x)
            library.input_gradient(x, y, out, OBJECTIVE_NUMBERS["cross_entropy"], 1)
            return out

        def of_weights(x: Tensor, y: Tensor) -> list[Tensor]:
            out = self.space.zeros()
            library.gradients(x, y, 1.0, out, 1)
            return [g for g in self.space.tensors(out) if g is not None]

        labels = torch.randint(
            0, self.network.classes, (library.block + 1,), generator=generator, device="cpu"
        )
        weights = (wanted, of_weights) if not self.only_attacks else ()
        return agreement.compare(
            exact, lambda n: self._random_images(n, generator), labels, of_images, *weights
        )

    def _random_weights(self, generator: torch.Generator) -> list[Tensor | None]:
        """One float32 tensor for each of `parameters`, in the range of PyTorch's own beginning."""
        weights: list[Tensor | None] = []
        bound = 0.0
        for parameter in self.parameters:
            if parameter is None:
                weights.append(None)
                continue
            if parameter.dim() > 1:  # a bias has the range of the weight before it
                bound = parameter[0].numel() ** -0.5
            unit = torch.rand(
                parameter.shape, generator=generator, dtype=torch.float32, device="cpu"
            )
            weights.append(bound * (2 * unit - 1))
        return weights

    def _random_images(self, count: int, generator: torch.Generator) -> Tensor:
        """Images ``(count, c, h, w)`` of the range that the first layer expects.

        It is 0 to 1, or what normalisation brings to -1 to 1: numbers far from that would make
        float32 and float64 differ.
        """
        unit = torch.rand(
            count, *self.network.shape, generator=generator, dtype=torch.float32, device="cpu"
        )
        if not self.network.mean:
            return unit
        mean, std = (
            torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1)
            for numbers in (self.network.mean, self.network.std)
        )
        return mean + std * (2 * unit - 1)


def _randomize(norm: BatchNorm, generator: torch.Generator) -> None:
    """Give a batch normalisation numbers as those of one that has been trained."""
    for name, middle in (
        ("running_mean", 0.0),
        ("running_var", 1.0),
        ("weight", 1.0),
        ("bias", 0.0),
    ):
        tensor = cast("Tensor | None", getattr(norm, name))
        if tensor is not None:
            unit = torch.rand(tensor.shape, generator=generator, dtype=torch.float32, device="cpu")
            tensor.data.copy_(middle + unit - 0.5)


def _rows(tensor: Tensor, part: slice) -> Tensor:
    """Some rows, or all without making a view: an attack of few images would feel it."""
    return tensor if part.stop - part.start == tensor.shape[0] else tensor[part]


class SelfCheckError(SparringError):
    """A kernel that was built computes something else than the model."""


#: Numbers of the objectives, as ``cpp/objective.hpp`` has them.
OBJECTIVE_NUMBERS = {"cross_entropy": 0, "log_odds": 1, "study": 2, "margin": 3}
#: Numbers of the steps' rules, as ``cpp/ascent.hpp`` has them.
RULE_NUMBERS = {"sign": 0, "l2": 1, "raw": 2}
