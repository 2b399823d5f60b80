#!/usr/bin/env python3
"""Write the trained density model as ONNX, in integers, with its manifest's hash.

    python -m models.training.export --run RUN --scenes SCENES [--check DIR] [--out FOLDER]

Ranges and rounding are calibrated on drawn pictures alone (`models.training.scenes`), so that nothing of
the photographs gets into the file that way. `--check` compares with the network in floating point on the
validation pictures of DIR, and fits there how far counts are off: the three figures of the manifest's head.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.build import quantise, rounding
from models.build.nanodet import publish
from models.training import data, graph
from models.training.network import Counter
from models.training.split import split_of

NAME = "heads-448-int8"
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
OPERATORS = ("Conv", "Relu", "Concat", "MaxPool", "Resize", "Add")
CALIBRATION = 64


def trained(run: Path) -> Counter:
    """The network of a run, with the mean of its weights over the last steps."""
    net = Counter()
    net.load_state_dict(torch.load(run / "last.pt", map_location="cpu")["mean"])
    return net


def counts(model: onnx.ModelProto, samples: Sequence[data.Sample]) -> list[NDArray[np.float32]]:
    """The map (h, w) of expected heads of each picture."""
    last = next(node for node in model.graph.node if node.op_type == "Squeeze").input[0]
    run = rounding.probe(model, [last])
    return [run(data.whole(sample)[None])[0][0, 0] for sample in samples]


def compare(folder: Path, models: dict[str, onnx.ModelProto]) -> None:
    """Print how well each model counts the folder's validation pictures."""
    held = [sample for sample in data.load(folder) if split_of(sample.name) == "validation"]
    truth = np.array([len(sample.points) for sample in held])
    for name, model in models.items():
        found = np.array([float(one.sum()) for one in counts(model, held)])
        mae, rmse = abs(found - truth).mean(), np.sqrt(((found - truth) ** 2).mean())
        bias = (found - truth).mean()
        print(
            f"{folder}: {name}: n {len(held)}, MAE {mae:.3f}, RMSE {rmse:.3f}, bias {bias:+.3f}", flush=True
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that models.training.train wrote")
    parser.add_argument("--scenes", type=Path, required=True, help="folder of drawn pictures")
    parser.add_argument("--check", type=Path, help="folder of photographs")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    exact = graph.to_onnx(trained(options.run))
    scenes = [s for s in data.load(options.scenes) if split_of(s.name) == "train"]
    chosen = scenes[:: max(1, len(scenes) // CALIBRATION)][:CALIBRATION]
    pictures = [data.whole(sample)[None] for sample in chosen]
    int8 = quantise.quantise(exact, pictures, OPERATORS, [graph.last_convolution(exact)])
    publish(int8, NAME, options.out)
    for folder in (options.scenes, options.check):
        if folder is not None:
            compare(folder, {"FP32": exact, "INT8": int8})


if __name__ == "__main__":
    main()
