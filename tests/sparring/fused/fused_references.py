"""What the fused engine computes, beside a float64 reference of the same weights and images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.attacks.objectives import cross_entropy, log_odds, margin, study
from sparring.fused.building.build import Isa, Job, build_all
from sparring.fused.engine import OBJECTIVE_NUMBERS, SOURCE
from sparring.fused.header import header
from sparring.fused.layouts import Layout, layouts_of
from sparring.fused.library import Library, pointers
from sparring.fused.recognise import recognise
from tests.sparring.fused.fused_networks import network, shape_of

FUNCTIONS = {"cross_entropy": cross_entropy, "log_odds": log_odds, "study": study, "margin": margin}


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def margins(model, x):
    """For each image how far it is from a kink: of ReLUs and of maxima, over the layer's largest.

    Beyond a kink the gradient is another one, and which side float32 sees is a matter of rounding.
    """
    least = torch.full((len(x),), float("inf"), dtype=torch.float64)

    def look(layer, inputs):
        (x,) = inputs
        if isinstance(layer, nn.ReLU | nn.LeakyReLU):
            least.copy_(torch.minimum(least, x.abs().flatten(1).amin(1) / x.abs().max()))
            return
        rows, columns = _pair(layer.padding)
        padded = F.pad(x.flatten(0, 1)[:, None], (columns, columns, rows, rows), value=-1e9)
        windows = F.unfold(padded, layer.kernel_size, stride=layer.stride)
        if windows.shape[1] > 1:
            best, second = windows.topk(2, dim=1).values.unbind(1)
            gap = torch.where((best == 0) & (second == 0), float("inf"), best - second)
            gap = gap.reshape(len(x), -1).amin(1)
            least.copy_(torch.minimum(least, gap / x.abs().max()))

    kinks = [m for m in model.modules() if isinstance(m, nn.ReLU | nn.LeakyReLU | nn.MaxPool2d)]
    hooks = [layer.register_forward_pre_hook(look) for layer in kinks]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return least


def parameters_of(model, shape):
    """Weight and bias by turns, None for a bias that there is not, as kernels read them."""
    folding = recognise(model, shape).folding()
    folding.look()
    return folding.tensors


@dataclass
class Sample:
    """Weights, images off all kinks, labels, and the model in float64."""

    model: nn.Module
    exact: nn.Module
    x: torch.Tensor
    y: torch.Tensor

    @property
    def parameters(self):
        """See `parameters_of`."""
        return parameters_of(self.model, tuple(self.x.shape[1:]))

    def logits(self):
        with torch.no_grad():
            return self.exact(self.x.double())

    def input_gradient(self, objective):
        x = self.x.double().requires_grad_()
        (gradient,) = torch.autograd.grad(FUNCTIONS[objective](self.exact(x), self.y).sum(), x)
        return gradient

    def gradients(self, count):
        """Summed cross-entropy of the first images, and the gradients of all parameters."""
        logits = self.exact(self.x[:count].double())
        loss = F.cross_entropy(logits, self.y[:count], reduction="sum")
        return loss.item(), torch.autograd.grad(loss, list(self.exact.parameters()))


def sample(name, seed, count):
    """So many images of a network with the weights of a seed."""
    shape = shape_of(name)
    model = network(name, seed).eval()
    exact = network(name, seed).double().eval()
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((4 * count + 20, *shape), generator=generator)
    x = x[margins(exact, x.double()) > 1e-5][:count]
    assert len(x) == count, "too few images lie off the kinks"
    classes = model(x[:1]).shape[1]
    y = torch.randint(0, classes, (count,), generator=generator)
    return Sample(model, exact, x, y)


class Kernel(Library):
    """A library that takes weights, and gives gradients, as PyTorch has them."""

    def __init__(self, path):
        super().__init__(path)
        self.seen, self.packed = torch.zeros(self.packed_size), torch.zeros(self.packed_size)

    def load(self, parameters):
        """Returns how many parameters had changed."""
        changed = self.repack(pointers(parameters), self.seen, self.packed)
        self.use(self.packed)
        return changed

    def gradients_of(self, x, y, scale, parameters, threads):
        """The loss, and a gradient for each parameter; what lies between them must be zero."""
        packed = torch.full((self.packed_size,), float("nan"))
        loss = self.gradients(x, y, scale, packed, threads)
        found = [None if p is None else torch.full_like(p, float("nan")) for p in parameters]
        self.unpack(packed, pointers(found))
        return loss, found, packed


def kernels(names, isas):
    """{(network, instruction set, layout): Library}, all compiled at once."""
    keys: list[tuple[str, Isa, Layout]] = []
    jobs = []
    for name in names:
        recognised = recognise(network(name), shape_of(name))
        found = recognised.network
        for isa in isas:
            for kind in layouts_of(found, isa):
                keys.append((name, isa, kind))
                headers = {"network.h": header(found, updates=not recognised.only_attacks)}
                jobs.append(Job(SOURCE, headers, dict(kind.defines), isa))
    return {
        (name, isa.name, kind.name): Kernel(path)
        for (name, isa, kind), path in zip(keys, build_all(jobs), strict=True)
    }


def error(found, expected):
    """The largest difference over the largest entry."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def errors(library, case, counts, threads, updates=True):
    """The worst relative error of everything a kernel computes, by name."""
    worst: dict[str, float] = {}

    def note(name, found, expected):
        worst[name] = max(worst.get(name, 0.0), error(found, expected))

    library.load(case.parameters)
    logits = case.logits().float().double()
    gradients = {name: case.input_gradient(name) for name in FUNCTIONS}
    for count in counts:
        x, y = case.x[:count], case.y[:count]
        out = torch.full((count, logits.shape[1]), float("nan"))
        library.logits(x, out, threads)
        note("logits", out, case.logits()[:count])
        for name, expected in gradients.items():
            out = torch.full_like(x, float("nan"))
            library.input_gradient(x, y, out, OBJECTIVE_NUMBERS[name], threads)
            for mine, wanted in zip(out, expected[:count], strict=True):  # each by its own size
                note(name, mine, wanted)
        if not updates:
            continue
        loss, found, _ = library.gradients_of(x, y, 0.25, case.parameters, threads)
        expected_loss, wanted = case.gradients(count)
        note("loss", torch.tensor(loss), torch.tensor(expected_loss))
        for mine, theirs in zip((g for g in found if g is not None), wanted, strict=True):
            note("parameters", 4 * mine.double(), theirs)
    return worst
