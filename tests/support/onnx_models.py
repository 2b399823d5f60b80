"""Tiny ONNX models that say what they are told to say, and their manifests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class Photo:
    """A picture of one colour, or of given pixels in whatever size is asked for."""

    def __init__(self, width: int, height: int, colour: tuple[int, int, int] = (10, 20, 30)) -> None:
        self.width = width
        self.height = height
        self.colour = colour

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return np.full((height, width, 3), self.colour, np.uint8)


def write_model(
    path: Path, outputs: Mapping[str, NDArray[Any]], shape: Sequence[int | str], dtype: str = "float32"
) -> Path:
    """A model of one input that returns these outputs whatever it is given."""
    kind = TensorProto.FLOAT if dtype == "float32" else TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_value"], [name]) for name in outputs],
        "constant",
        [helper.make_tensor_value_info("images", kind, list(shape))],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape))
            for name, value in outputs.items()
        ],
        [
            numpy_helper.from_array(value.astype(np.float32), f"{name}_value")
            for name, value in outputs.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def write_manifest(folder: Path, head: str, name: str = "tiny", **changes: str) -> Path:
    """A manifest for `<name>.onnx` in that folder; `changes` replace or add lines of its first part."""
    weights = folder / f"{name}.onnx"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "0" * 64
    keys = {
        "name": json.dumps(name),
        "file": json.dumps(f"{name}.onnx"),
        "sha256": json.dumps(digest),
        "licence": '"Apache-2.0"',
        "source": '"made here"',
        "classes": '["person", "car"]',
    }
    input_ = changes.pop("input", "size = [64, 64]")
    keys |= changes
    lines = [f"{key} = {value}" for key, value in keys.items() if value]
    path = folder / f"{name}.toml"
    path.write_text("\n".join([*lines, "[input]", input_, "[head]", head]) + "\n", encoding="utf-8")
    return path
