"""Graph surgery: from the converted NanoDet to one that takes a camera picture as it is."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

INPUT = "picture"
OUTPUT = "predictions"
CENTRE = 115
"""Grey level that stands for zero in the quantised network: the nearest whole number to the mean of
the three channel means. The network's own zero padding then means this grey."""

Tensors = dict[str, NDArray[np.generic]]


def simplify_nanodet(
    model: onnx.ModelProto, mean: NDArray[np.float64], std: NDArray[np.float64], *, centre: int | None
) -> onnx.ModelProto:
    """Rebuild the converted NanoDet with uint8 input, free size and batch, and one output.

    `picture` (batch, height, width, 3) uint8 BGR, height and width multiples of 32; `predictions`
    (batch, 124, cells) float32: 80 class logits, then 4 x 11 side logits, cells of strides 8, 16, 32.

    With `centre` None the normalisation is exact: the mean is subtracted before the first convolution,
    whose weights are divided by `std`. Otherwise the grey level `centre` is subtracted and the rest of the
    mean goes into the bias: exact but for the one-pixel border, and free of charge once quantised.
    """
    graph = model.graph
    tensors: Tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes = _absorb_padding(list(graph.node), tensors)
    nodes = [_average_halving(node, tensors) for node in nodes]
    body, logits = _without_heads(nodes)
    stem = next(node for node in body if node.op_type == "Conv")
    offset = mean if centre is None else np.full(3, float(centre))
    _normalise_in_weights(stem, tensors, mean - offset, std)
    entry = _entry_nodes(stem, tensors, offset)
    heads = _head_nodes(logits, tensors)
    kept = {name for node in [*entry, *body, *heads] for name in node.input}
    rebuilt = helper.make_graph(
        [*entry, *body, *heads],
        "nanodet",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 124, "cells"])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items() if name in kept],
    )
    result = helper.make_model(rebuilt, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    _tidy_names(result)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(result, strict_mode=True), full_check=True)
    return result


def attribute(node: onnx.NodeProto, name: str) -> Any:
    """The value of an attribute, or None."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def integers(node: onnx.NodeProto, name: str) -> list[int]:
    """The value of a list attribute; empty if it is not there."""
    value = attribute(node, name)
    return [int(item) for item in value] if isinstance(value, list) else []


def _absorb_padding(nodes: list[onnx.NodeProto], tensors: Tensors) -> list[onnx.NodeProto]:
    """Move the explicit Pad nodes into the `pads` of the convolution or pooling that follows."""
    pads = {node.output[0]: node for node in nodes if node.op_type == "Pad"}
    for node in nodes:
        pad = pads.get(node.input[0]) if node.op_type in {"Conv", "MaxPool"} else None
        if pad is not None:
            amounts = tensors[pad.input[1]]
            if amounts[[0, 1, 4, 5]].any() or attribute(node, "pads"):
                raise ValueError(f"cannot absorb {pad.name}: padding {amounts.tolist()}")
            node.input[0] = pad.input[0]
            node.attribute.append(helper.make_attribute("pads", amounts[[2, 3, 6, 7]].tolist()))
    return [node for node in nodes if node.op_type != "Pad"]


def _average_halving(node: onnx.NodeProto, tensors: Tensors) -> onnx.NodeProto:
    """Linear, half-pixel shrinking by two is the mean of 2 x 2: exact, and much faster as pooling."""
    if node.op_type != "Resize" or tensors[node.input[2]].tolist() != [1.0, 1.0, 0.5, 0.5]:
        return node
    return helper.make_node(
        "AveragePool", [node.input[0]], list(node.output), name=node.name, kernel_shape=[2, 2], strides=[2, 2]
    )


def _without_heads(nodes: list[onnx.NodeProto]) -> tuple[list[onnx.NodeProto], list[str]]:
    """Cut off what follows the three 124-channel convolutions; return the rest and their outputs, 8 first."""
    logits = [node.input[0] for node in nodes if node.op_type == "Split"]
    producer = {name: node for node in nodes for name in node.output}
    body: set[str] = set()
    waiting = list(logits)
    while waiting:
        node = producer.get(waiting.pop())
        if node is not None and node.output[0] not in body:
            body.add(node.output[0])
            waiting.extend(node.input)
    kept = [node for node in nodes if node.output[0] in body]
    order = {node.output[0]: index for index, node in enumerate(kept)}
    # The converter lists the coarse heads first; a head's depth in the pyramid is the number of halvings
    # and doublings on its way, and the stride-8 head comes from the top-down path's last doubling.
    return kept, sorted(logits, key=lambda name: -_cells(name, producer, order))


def _cells(name: str, producer: dict[str, onnx.NodeProto], order: dict[str, int]) -> float:
    """Relative number of cells of a tensor: follow first inputs back to the picture."""
    scale = 1.0
    while name in order:
        node = producer[name]
        stride = attribute(node, "strides")
        if isinstance(stride, list):
            scale /= stride[0]
        elif node.op_type == "Resize":
            scale *= 2.0
        name = node.input[0]
    return scale


def _normalise_in_weights(
    stem: onnx.NodeProto, tensors: Tensors, rest: NDArray[np.float64], std: NDArray[np.float64]
) -> None:
    weights = tensors[stem.input[1]].astype(np.float64) / std[None, :, None, None]
    bias = tensors[stem.input[2]].astype(np.float64) - (weights * rest[None, :, None, None]).sum((1, 2, 3))
    tensors[stem.input[1]] = weights.astype(np.float32)
    tensors[stem.input[2]] = bias.astype(np.float32)


def _entry_nodes(stem: onnx.NodeProto, tensors: Tensors, offset: NDArray[np.float64]) -> list[onnx.NodeProto]:
    tensors["offset"] = offset.astype(np.float32).reshape(1, 3, 1, 1)
    stem.input[0] = "centred"
    return [
        helper.make_node("Transpose", [INPUT], ["planes"], name="planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["levels"], name="levels", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["levels", "offset"], ["centred"], name="centred"),
    ]


def _head_nodes(logits: Iterable[str], tensors: Tensors) -> list[onnx.NodeProto]:
    tensors["flat"] = np.array([0, 124, -1], np.int64)
    names = [f"cells_{stride}" for stride in (8, 16, 32)]
    nodes = [
        helper.make_node("Reshape", [source, "flat"], [name], name=name)
        for source, name in zip(logits, names, strict=True)
    ]
    return [*nodes, helper.make_node("Concat", names, [OUTPUT], name=OUTPUT, axis=2)]


def _tidy_names(model: onnx.ModelProto) -> None:
    """Name nodes and tensors by kind and place: TensorFlow's paths say nothing to a reader."""
    new: dict[str, str] = {name: name for name in (INPUT, OUTPUT, "centred")}
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{index}"
        for name in node.output:
            new.setdefault(name, node.name)
    for index, tensor in enumerate(model.graph.initializer):
        new.setdefault(tensor.name, f"constant_{index}")
        tensor.name = new[tensor.name]
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new[name] for name in node.output]
