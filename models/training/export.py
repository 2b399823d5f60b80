#!/usr/bin/env python3
"""Write the trained density model as ONNX, in integers, with its manifest's hash.

    python -m models.training.export --run RUN --scenes SCENES [--check DIR] [--out FOLDER]

Ranges and rounding are calibrated on drawn pictures alone (`models.training.scenes`), so that nothing of
the photographs gets into the file that way. Counts of pictures that were not learnt from come out a few per
cent too low, as an unknown figure is less surely one; every other validation picture of SCENES, and of DIR
with `--check`, says by how much, and the model makes that up. On the same ones is fitted how far counts are
off: the three figures of the manifest's head. What is held out of both is reported on.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.build import quantise, rounding
from models.build.nanodet import publish
from models.training import data, graph, spread
from models.training.network import Counter
from models.training.split import split_of

NAME = "heads-448-int8"
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
DENSE = 10
"""Heads in a block from which its relative error is reported."""

OPERATORS = ("Conv", "Relu", "Concat", "MaxPool", "Resize", "Add")
CALIBRATION = 48
"""Drawn pictures that ranges and rounding are calibrated on."""


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


def truths(samples: Sequence[data.Sample]) -> list[NDArray[np.float32]]:
    """The map (h, w) of the heads that are there in each picture."""
    found = []
    for sample in samples:
        size = np.array(sample.image.shape[1::-1])
        width, height = data.input_size(int(size[0]), int(size[1]))
        points = np.clip(sample.points / size, 0, 1 - 1e-6) * (width, height)
        found.append(data.cells(points.astype(np.float32), (height, width)))
    return found


def report(name: str, found: Sequence[NDArray[np.float32]], true: Sequence[NDArray[np.float32]]) -> None:
    """Print how far the maps (h, w) of whole pictures are off."""
    error = np.array([float(a.sum() - b.sum()) for a, b in zip(found, true, strict=True)])
    mae, rmse = abs(error).mean(), np.sqrt((error**2).mean())
    print(f"{name}: n {len(error)}, MAE {mae:.3f}, RMSE {rmse:.3f}, bias {error.mean():+.3f}", flush=True)
    blocks = spread.block_sums(found, true, 8)
    dense = blocks[blocks[:, 0] >= DENSE]
    if len(dense):
        off = np.abs(dense[:, 1] / dense[:, 0] - 1).mean()
        bias = dense[:, 1].sum() / dense[:, 0].sum() - 1
        print(
            f"    {len(dense)} blocks of 8 x 8 cells with {DENSE} or more: MAPE {off:.1%}, bias {bias:+.1%}"
        )


def held_out(folder: Path) -> list[data.Sample]:
    """The folder's validation pictures."""
    return [sample for sample in data.load(folder) if split_of(sample.name) == "validation"]


def gain(model: onnx.ModelProto, folders: Sequence[Path]) -> float:
    """The factor that sets counts of every other held-out picture right; each folder weighs the same."""
    ratios = []
    for folder in folders:
        half = held_out(folder)[::2]
        true, found = (sum(float(one.sum()) for one in maps) for maps in (truths(half), counts(model, half)))
        ratios.append(true / found)
    return float(np.mean(ratios))


def calibrate(folders: Sequence[Path], models: dict[str, onnx.ModelProto]) -> spread.Spread:
    """Report on held-out pictures; fit the spread of the last model's errors on half and check the other."""
    halves: tuple[list[list[spread.Floats]], ...] = ([], [])
    for folder in folders:
        held = held_out(folder)
        true = truths(held)
        found = []
        for name, model in models.items():
            found = counts(model, held)
            report(f"{folder}: {name}", found, true)
            report(f"{folder}: {name}, nothing fitted on them", found[1::2], true[1::2])
        for half, sizes in enumerate(halves):
            a, b = found[half::2], true[half::2]
            sizes.append([spread.block_sums(a, b, side) for side in spread.SIDES])
    fitting = [np.concatenate(rows) for rows in zip(*halves[0], strict=True)]
    fitted = spread.fit(fitting)
    for folder, other in zip(folders, halves[1], strict=True):
        covered = ", ".join(
            f"{side}: {fitted.coverage(rows):.3f}" for side, rows in zip(spread.SIDES, other, strict=True)
        )
        print(f"{folder}: coverage of 95 % intervals on the half not fitted, by cells a side: {covered}")
    print(f"empty = {fitted.empty:.3g}, poisson = {fitted.poisson:.3g}, shared = {fitted.shared:.3g}")
    return fitted


def write_spread(manifest: Path, fitted: spread.Spread) -> None:
    """Put the three figures into the manifest's head."""
    text = manifest.read_text(encoding="utf-8")
    for key in ("empty", "poisson", "shared"):
        text = re.sub(rf"^{key} = .*$", f"{key} = {getattr(fitted, key):.4g}", text, flags=re.MULTILINE)
    manifest.write_text(text, encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that models.training.train wrote")
    parser.add_argument("--scenes", type=Path, required=True, help="folder of drawn pictures")
    parser.add_argument("--check", type=Path, help="folder of photographs")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write to")
    options = parser.parse_args()
    exact = graph.to_onnx(trained(options.run))
    scenes = [sample for sample in data.load(options.scenes) if split_of(sample.name) == "train"]
    chosen = scenes[:: max(1, len(scenes) // CALIBRATION)][:CALIBRATION]
    pictures = [data.whole(sample)[None] for sample in chosen]
    int8 = quantise.quantise(exact, pictures, OPERATORS, [graph.last_convolution(exact)])
    folders = [folder for folder in (options.check, options.scenes) if folder is not None]
    factor = gain(int8, folders)
    print(f"counts are multiplied by {factor:.4f}")
    graph.scale(int8, factor)
    publish(int8, NAME, options.out)
    fitted = calibrate(folders, {"FP32, as it was trained": exact, "INT8": int8})
    manifest = options.out / f"{NAME}.toml"
    if manifest.exists():
        write_spread(manifest, fitted)


if __name__ == "__main__":
    main()
