"""A real, tiny classifier that calls red fire and blue smoke, for tests alone: it is no model of fire."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[12, 0, 0], [-12, 0, 0], [0, 0, 12]], np.float32)
"""(3 colours, 3 classes): what flames, nothing and smoke are made of, of the mean colour less its grey."""

MANIFEST = """
name = "{name}"
file = "{name}.onnx"
sha256 = "{sha256}"
licence = "Apache-2.0"
source = "made here"
classes = {classes}

[input]
{input}

[head]
{head}

[fire]
{fire}
"""
CLASSES = '["flames", "nothing", "smoke"]'
INPUT = "size = [32, 32]\nscale = 0.00392156862745098\nletterbox = 'stretch'"
HEAD = "kind = 'classifier'"
FIRE = "fire = ['flames']\nsmoke = ['smoke']"


def write_classifier(folder: Path, name: str = "reddish", *, softmax: bool = False) -> Path:
    """Averages the colours of (1, 3, 32, 32), takes their mean off, and weighs them: (1, 3) logits."""
    constants = {"weights": WEIGHTS, "bias": np.array([-2, 1, -2], np.float32)}
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["colours"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["colours"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["colours", "grey"], ["tint"]),
        helper.make_node("MatMul", ["tint", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "bias"], ["logits"]),
        helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "reddish",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    path = folder / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def write_fire(folder: Path, name: str = "reddish", **changes: str) -> Path:
    """A manifest beside `<name>.onnx`, without changes that of `write_classifier`, written if need be."""
    weights = folder / f"{name}.onnx"
    if not weights.exists():
        write_classifier(folder, name)
    parts = {"classes": CLASSES, "input": INPUT, "head": HEAD, "fire": FIRE} | changes
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    path = folder / f"{name}.toml"
    path.write_text(MANIFEST.format(name=name, sha256=digest, **parts), encoding="utf-8")
    return path
