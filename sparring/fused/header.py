"""The generated C++ header that tells the kernels the network's shapes."""

from __future__ import annotations

import math
import re
from dataclasses import astuple

from sparring.fused.layouts import images_together
from sparring.fused.machine import BuildError
from sparring.fused.network import (
    Activation,
    Addition,
    Affine,
    AnyConvolution,
    Convolution,
    Curve,
    Dense,
    Front,
    Network,
    Padding,
    Pooling,
)
from sparring.fused.winograd import winograd_outputs, winograd_points

#: Standard deviations from 0 to the mean, which the kernels subtract after they have divided by the
#: former: the rounding error is a 2**-24th of it, in the units of a normalised image.
_FARTHEST = 1e4

_FLOAT32_MIN = 2.0**-126  # the least standard deviation whose inverse float32 can hold


def _convolution(conv: Convolution, tiles: bool) -> str:
    numbers = (
        conv.in_channels, conv.height, conv.width, conv.out_channels, conv.kernel, conv.padding,
    )  # fmt: skip
    flags = f"{str(conv.relu).lower()}, {str(conv.pool).lower()}"
    points = winograd_points(conv) if tiles else 0
    algorithm = f"winograd{points}" if points else "direct"
    stride = f", {conv.stride}" if conv.stride > 1 else ""
    return f"Convolution<{', '.join(map(str, numbers))}, {flags}, Algorithm::{algorithm}{stride}>"


def _any_convolution(conv: AnyConvolution) -> str:
    numbers = (
        conv.in_channels, conv.height, conv.width, conv.out_channels, *conv.kernel, *conv.stride,
        *conv.padding, *conv.dilation, conv.groups,
    )  # fmt: skip
    flags = f"{str(conv.relu).lower()}, {str(conv.pool).lower()}"
    return f"AnyConvolution<{', '.join(map(str, numbers))}, {flags}>"


def _pooling(pool: Pooling) -> str:
    numbers = (pool.channels, pool.height, pool.width, *pool.kernel, *pool.stride, *pool.padding)
    counts = str(pool.padding_counts).lower() + (", true" if pool.ceil else "")
    return f"Pooling<{str(pool.mean).lower()}, {', '.join(map(str, numbers))}, {counts}>"


def _activation(layer: Activation) -> str:
    numbers = f"{layer.out_channels}, {layer.out_height}, {layer.out_width}"
    return f"Activation<{_curve(layer.curve)}, {numbers}>"


def _simple(layer: Addition | Affine) -> str:
    numbers = f"{layer.out_channels}, {layer.out_height}, {layer.out_width}"
    return f"{type(layer).__name__}<{numbers}, {str(layer.relu).lower()}>"


def _padding(layer: Padding) -> str:
    return f"Padding<{', '.join(map(str, astuple(layer)))}>"


def _front(network: Network) -> list[str]:
    parts: list[str] = []
    # Of whose outputs, whatever activations make of them, a maximum is taken.
    maximum: set[int] = set()
    layers = list(zip(network.front, network.taken(), strict=True))
    for number, (layer, sources) in reversed([*enumerate(layers)]):
        if isinstance(layer, Convolution):
            # Tiles round equal pixels apart, and a maximum of its own has no bound to tell them by.
            parts.append(_convolution(layer, tiles=number not in maximum))
            continue
        if isinstance(layer, AnyConvolution):
            parts.append(_any_convolution(layer))
            continue
        if isinstance(layer, Pooling):
            parts.append(_pooling(layer))
            maximum |= set() if layer.mean else {*sources}
            continue
        if isinstance(layer, Activation):
            parts.append(_activation(layer))
        else:
            parts.append(_padding(layer) if isinstance(layer, Padding) else _simple(layer))
        maximum |= {*sources} if number in maximum else set()
    return parts[::-1]


def _sources(network: Network) -> str:
    rows = [(*sources, "NO_VALUE")[:2] for sources in network.taken()] or [("NO_VALUE",) * 2]
    return ", ".join(f"{{{one}, {other}}}" for one, other in rows)


def tile_side(conv: Front) -> int:
    """Side of the tiles in which the layout *tile* hands an output on: 1 where it has none."""
    if not isinstance(conv, Convolution) or conv.stride > 1:
        return 1
    side = winograd_outputs(conv)
    return max(1, side // 2 if conv.pool else side)


def _dense(dense: Dense, rows: int, columns: int, channels: int, phase: int) -> str:
    relu = str(dense.relu).lower()
    curve = "" if dense.curve is None else f", {_curve(dense.curve)}"
    return f"Dense<{rows}, {columns}, {channels}, {phase}, {dense.outputs}, {relu}{curve}>"


def _curve(curve: Curve) -> str:
    return curve.name if curve.parameter is None else f"{curve.name}<{_parameter(curve.parameter)}>"


def _parameter(value: float) -> str:
    """The type whose VALUE is a parameter: C++17 has no floating template arguments."""
    return "Parameter_" + re.sub(r"\W", lambda found: f"{ord(found[0]):x}_", value.hex())


def _together(network: Network) -> str:
    """Images that go through dense layers together, which may depend on the registers."""
    narrow, wide = images_together(network, 16), images_together(network, 32)
    if narrow == wide:
        return f"constexpr int TOGETHER = {wide};"
    number = f"constexpr int TOGETHER = REGISTERS == 32 ? {wide} : {narrow};"
    return f'#include "lanes.hpp"\n{number}'


def _curves(network: Network) -> str:
    """What the lists of layers need before them where there are activations."""
    curves = [layer.curve for layer in network.front if isinstance(layer, Activation)]
    curves += [dense.curve for dense in network.dense if dense.curve is not None]
    if not curves:
        return ""
    values = sorted({curve.parameter for curve in curves if curve.parameter is not None})
    return '#include "curves.hpp"\n' + "".join(
        f"struct {_parameter(value)} {{\n  static constexpr float VALUE = {value.hex()}f;\n}};\n"
        for value in values
    )


def _numbers(values: list[float]) -> str:
    # Hexadecimal: every bit of the number, whatever the compiler rounds.
    return ", ".join(f"{value.hex()}f" for value in values)


def header(network: Network, updates: bool = True) -> str:
    """The text of ``network.h``, which ``cpp/layers.hpp`` includes.

    Args:
        network: its layers.
        updates: whether gradients of the weights are wanted; without them the kernel is compiled
            in half the time.

    Raises:
        BuildError: if what normalises the images is no number that a kernel can hold.
    """
    channels, height, columns = network.shape if len(network.shape) == 3 else (1, 1, *network.shape)
    if network.front:
        last = network.front[-1]
        first = (last.out_height, last.out_width, last.out_channels, tile_side(last))
    else:
        first = (1, height * columns, channels, 1)
    inputs = [first, *[(1, dense.inputs, 1, 1) for dense in network.dense[1:]]]
    denses = ", ".join(
        _dense(dense, *shape) for dense, shape in zip(network.dense, inputs, strict=True)
    )
    if not all(_FLOAT32_MIN <= std < math.inf for std in network.std) or not all(
        map(math.isfinite, network.mean)
    ):
        raise BuildError(f"images cannot be normalised by {network.mean} and {network.std}")
    if any(abs(m) > _FARTHEST * s for m, s in zip(network.mean, network.std, strict=True)):
        raise BuildError(
            f"images normalised by {network.mean} and {network.std} lie more than {_FARTHEST:g} "
            "standard deviations from 0, where the kernels' float32 would lose too much of them"
        )
    scale = [1.0 / std for std in network.std] or [1.0] * channels
    shift = [-m / s for m, s in zip(network.mean, network.std, strict=True)] or [0.0] * channels
    return f"""// Generated for one network.
#pragma once
#include "shapes.hpp"
#define UPDATES {int(updates)}
constexpr int CHANNELS = {channels}, HEIGHT = {height}, COLUMNS = {columns};
constexpr bool NORMALIZED = {str(bool(network.std)).lower()};
constexpr float SCALE[] = {{{_numbers(scale)}}}, SHIFT[] = {{{_numbers(shift)}}};
{_curves(network)}using Convolutions = List<{", ".join(_front(network))}>;
{_together(network)}
constexpr int SOURCES[][2] = {{{_sources(network)}}};
using Denses = List<{denses}>;
"""
