"""From the trained network to ONNX, node by node: the graph that `models.build.quantise` knows to handle."""

import operator
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn
from torch.nn import functional

from models.build import graph
from models.training.network import CENTRE, SPREAD, Counter


class Writer(fx.Interpreter):
    """Walks the traced network and writes a node for each operation; values are tensors' names."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(fx.symbolic_trace(net))
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def centred(self) -> str:
        """From the input, uint8 (batch, h, w, 3), to what networks take."""
        offset = self.constant("offset", np.full((1, 3, 1, 1), CENTRE, np.float32))
        planes = self.node("Transpose", graph.INPUT, perm=[0, 3, 1, 2])
        levels = self.node("Cast", planes, to=TensorProto.FLOAT)
        self.nodes.append(helper.make_node("Sub", [levels, offset], ["centred"], name="centred"))
        return "centred"

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        """Keep a tensor; its name."""
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, *sources: str, **attributes: Any) -> str:
        """Append a node; the name of what it makes."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(sources), [name], name=name, **attributes))
        return name

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:  # noqa: ARG002
        """Write a layer; the name of what it makes."""
        module = self.fetch_attr(target)
        if isinstance(module, nn.Conv2d):
            return self._convolution(module, args[0])
        if isinstance(module, nn.MaxPool2d):
            side, stride, pad = module.kernel_size, module.stride, module.padding
            return self.node(
                "MaxPool", args[0], kernel_shape=[side] * 2, strides=[stride] * 2, pads=[pad] * 4
            )
        if isinstance(module, nn.Dropout2d):  # nothing is left out but in training
            return str(args[0])
        raise TypeError(f"{target}: cannot write a {type(module).__name__}")

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Write a function; the name of what it makes."""
        if target is functional.relu:
            return self.node("Relu", args[0])
        if target is functional.leaky_relu:
            return self.node("LeakyRelu", args[0], alpha=float(kwargs["negative_slope"]))
        if target is torch.cat:
            return self.node("Concat", *args[0], axis=1)
        if target is operator.add:
            return self.node("Add", *args)
        if target is functional.interpolate and kwargs["mode"] == "nearest":
            scale = kwargs["scale_factor"]
            factors = self.constant(f"factors_{len(self.nodes)}", np.array([1, 1, scale, scale], np.float32))
            return self.node(
                "Resize", args[0], "", factors, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )  # fmt: skip
        raise TypeError(f"cannot write {target}")

    def _convolution(self, module: nn.Conv2d, source: str) -> str:
        index = len(self.nodes)
        weight = module.weight.detach().numpy().astype(np.float64)
        if source == "centred":
            weight = weight / SPREAD
        bias = module.bias
        if bias is None:
            raise TypeError("cannot write a convolution without bias")
        names = (
            self.constant(f"weight_{index}", np.ascontiguousarray(weight, np.float32)),
            self.constant(f"bias_{index}", bias.detach().numpy()),
        )
        return self.node(
            "Conv", source, *names,
            kernel_shape=list(module.kernel_size), strides=list(module.stride), pads=list(module.padding) * 2,
        )  # fmt: skip


def to_onnx(net: Counter) -> onnx.ModelProto:
    """`picture` (batch, h, w, 3) uint8 BGR, sides multiples of 16 -> `predictions` (batch, h / 8, w / 8).

    Predictions are expected heads a cell, float32.
    """
    net.set_slope(0.0)
    writer = Writer(net.eval().to(memory_format=torch.contiguous_format))
    logits = writer.run(writer.centred())
    split = helper.make_node("Split", [logits], ["presence", "rate"], name="split", axis=1, num_outputs=2)
    writer.nodes.append(split)
    product = writer.node("Mul", writer.node("Sigmoid", "presence"), writer.node("Softplus", "rate"))
    axis = writer.constant("axis", np.array([1], np.int64))
    writer.nodes.append(helper.make_node("Squeeze", [product, axis], [graph.OUTPUT], name=graph.OUTPUT))
    body = helper.make_graph(
        writer.nodes,
        "counter",
        [helper.make_tensor_value_info(graph.INPUT, TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info(graph.OUTPUT, TensorProto.FLOAT, ["batch", "rows", "columns"])],
        writer.tensors,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    return model


def scale(model: onnx.ModelProto, gain: float) -> None:
    """Have every prediction of `to_onnx`'s model multiplied by the factor `gain`, in place."""
    squeeze = next(node for node in model.graph.node if node.op_type == "Squeeze")
    model.graph.initializer.append(numpy_helper.from_array(np.array(gain, np.float32), "gain"))
    product = helper.make_node("Mul", [squeeze.input[0], "gain"], ["scaled"], name="scaled")
    model.graph.node.insert(list(model.graph.node).index(squeeze), product)
    squeeze.input[0] = "scaled"


def last_convolution(model: onnx.ModelProto) -> str:
    """Name of the convolution that makes the logits; it stays in floating point."""
    return str([node.name for node in model.graph.node if node.op_type == "Conv"][-1])
