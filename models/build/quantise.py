"""INT8 quantisation: calibrated on pictures, and fit for processors with and without VNNI."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from models.build import calibrate, graph, rounding

OPERATORS = ("Conv", "LeakyRelu", "Concat", "MaxPool")
"""What runs in integers. Convolutions are nearly all of the work; the other three keep the data in
integers between them, with the same ranges and so without another rounding."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; raises FileNotFoundError if there are none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder}: no pictures ({', '.join(sorted(SUFFIXES))})")
    return files


def letterboxed(path: Path, side: int = 416) -> NDArray[np.uint8]:
    """A picture as the network gets it: (1, height, width, 3) uint8 BGR, sides multiples of 32."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: is not a picture")
    scale = side / max(picture.shape[:2])
    height, width = (max(1, round(edge * scale)) for edge in picture.shape[:2])
    canvas = np.zeros((1, -(-height // 32) * 32, -(-width // 32) * 32, 3), np.uint8)
    canvas[0, :height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


def quantise(
    model: onnx.ModelProto,
    pictures: Sequence[NDArray[np.uint8]],
    operators: Sequence[str] = OPERATORS,
    keep_float: Sequence[str] = (),
) -> onnx.ModelProto:
    """The INT8 (QDQ, weights per channel) version of a model from `graph.simplify_nanodet` with a centre.

    The last convolution of each head stays in floating point: it is two hundredths of the work, and its
    outputs are logits. So do the nodes named in `keep_float`. Weights use 7 of their 8 bits: x86 processors
    without VNNI add two products of 8 x 8 bits in 16 bits, which overflows silently with the eighth.
    """
    heads = {node.input[0] for node in model.graph.node if node.op_type == "Reshape"}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    last = [node.name for node in convolutions if node.output[0] in heads]
    last += keep_float
    layers = [node.name for node in convolutions if node.name not in last]
    rounded, scales = rounding.round_weights(model, pictures, layers)
    last += [node.name for node in model.graph.node if graph.OUTPUT in node.output]
    limits = calibrate.ranges(rounded, pictures, operators, last)
    limits["centred"] = (-float(graph.CENTRE), 255.0 - graph.CENTRE)
    overrides: dict[str, list[dict[str, Any]]] = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in limits.items()
    }
    for name, scale in scales.items():
        overrides[name] = [
            {"axis": 0, "scale": np.float32(value), "zero_point": np.int8(0)} for value in scale
        ]
    quantised = _quantise_static(rounded, overrides, operators, last)
    feed_pixels_directly(quantised)
    return quantised


class _Nothing(CalibrationDataReader):  # type: ignore[misc]
    """One grey picture: all ranges are given, but ONNX Runtime insists on calibrating."""

    def __init__(self) -> None:
        self._pictures = [np.full((1, 64, 64, 3), graph.CENTRE, np.uint8)]

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return {graph.INPUT: self._pictures.pop()} if self._pictures else None


def _quantise_static(
    model: onnx.ModelProto,
    overrides: dict[str, list[dict[str, Any]]],
    operators: Sequence[str],
    keep_float: Sequence[str],
) -> onnx.ModelProto:
    logging.getLogger().setLevel(logging.ERROR)  # it advises pre-processing, which the surgery has done
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(source))
        quantize_static(
            str(source),
            str(target),
            _Nothing(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            nodes_to_exclude=list(keep_float),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": overrides},
        )
        return onnx.load(str(target))


def feed_pixels_directly(model: onnx.ModelProto) -> None:
    """Let the first convolution take the camera's bytes as its quantised input: no cast, no rounding.

    The calibrated chain Cast, Sub (centre), QuantizeLinear becomes nothing at all: its scale is 1 and its
    zero point is the centre, so it returns the bytes it was given.
    """
    nodes = model.graph.node
    maker = {name: node for node in nodes for name in node.output}
    users = {name: node for node in nodes for name in node.input}
    subtract = next(node for node in nodes if node.op_type == "Sub")
    cast, to_bytes = maker[subtract.input[0]], users[subtract.output[0]]
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    scale, zero = (numpy_helper.to_array(tensors[name]) for name in to_bytes.input[1:])
    if abs(float(scale) - 1.0) > 1e-6 or int(zero) != graph.CENTRE:
        raise ValueError(f"the picture was quantised with scale {scale} and zero {zero}")
    users[to_bytes.output[0]].input[0] = cast.input[0]
    for node in (cast, subtract, to_bytes):
        nodes.remove(node)
    used = {name for node in nodes for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
