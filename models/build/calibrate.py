"""Ranges of activations: those that change least what comes out of the following activation function."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from models.build import graph
from models.build.rounding import probe

BINS = 4096
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05)
"""Candidates: shares of the lowest and of the highest value seen, tried against each other."""

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Spread:
    """Where a tensor's values lie: `counts` (BINS,) between `low` <= 0 and `high` >= 0, in its units."""

    low: float
    high: float
    counts: Floats


def ranges(
    model: onnx.ModelProto,
    pictures: Sequence[NDArray[np.uint8]],
    operators: Sequence[str],
    keep_float: Sequence[str],
) -> dict[str, tuple[float, float]]:
    """Lowest and highest value to represent in 8 bits, for each tensor that the operators touch.

    Pictures are (1, height, width, 3) uint8, as the model takes them.

    The nodes named in `keep_float` are left out.

    A convolution's output is judged behind its LeakyRelu: negative values shrink there to a tenth, so
    spending half of the 256 levels on them, as the plain minimum and maximum do, is a waste.
    """
    slopes = _tensors(model, operators, keep_float)
    spreads = _spreads(model, pictures, list(slopes))
    return {name: _best_range(spreads[name], slope) for name, slope in slopes.items()}


def _tensors(model: onnx.ModelProto, operators: Sequence[str], keep_float: Sequence[str]) -> dict[str, float]:
    """Name -> slope for negative values in what follows: 1 unless that is a LeakyRelu alone."""
    users: dict[str, list[onnx.NodeProto]] = {}
    touched: dict[str, None] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
        if node.op_type in operators and node.name not in keep_float:
            sources = node.input if node.op_type in {"Concat", "Add"} else node.input[:1]
            touched.update(dict.fromkeys([*sources, *node.output]))
    slopes = {}
    for name in touched:
        followers = users.get(name, [])
        if [node.op_type for node in followers] == ["Relu"]:
            continue  # the two become one operation, which needs the range of what comes out
        leaky = len(followers) == 1 and followers[0].op_type == "LeakyRelu"
        slopes[name] = float(graph.attribute(followers[0], "alpha")) if leaky else 1.0
    return slopes


def _spreads(
    model: onnx.ModelProto, pictures: Sequence[NDArray[np.uint8]], names: Sequence[str]
) -> dict[str, Spread]:
    run = probe(model, names)
    spreads = {name: Spread(0.0, 0.0, np.zeros(BINS)) for name in names}
    for picture in pictures:
        for spread, values in zip(spreads.values(), run(picture), strict=True):
            spread.low = min(spread.low, float(values.min()))
            spread.high = max(spread.high, float(values.max()))
    for picture in pictures:
        for spread, values in zip(spreads.values(), run(picture), strict=True):
            spread.counts += np.histogram(values, BINS, (spread.low, max(spread.high, spread.low + 1e-9)))[0]
    return spreads


def _best_range(spread: Spread, slope: float) -> tuple[float, float]:
    """Of all candidate ranges the one with the least mean squared error behind the activation."""
    width = (spread.high - spread.low) / BINS
    values = spread.low + (np.arange(BINS) + 0.5) * width
    wanted = np.where(values < 0, slope * values, values)

    def error(low: float, high: float) -> float:
        scale = max(high - low, 1e-9) / 255
        zero = np.rint(-low / scale)
        got = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
        return float(((np.where(got < 0, slope * got, got) - wanted) ** 2 * spread.counts).sum())

    candidates = [(spread.low * a, spread.high * b) for a in SHARES for b in SHARES]
    return min(candidates, key=lambda candidate: error(*candidate))
