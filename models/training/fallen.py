#!/usr/bin/env python3
"""Train the network that tells whether somebody lies at a place, and write it as ONNX.

    python -m models.training.spots --out PLACES
    python -m models.training.fallen --places PLACES --run RUN [--steps 3000] [--out FOLDER]

It begins with two stages of the detector's backbone, which learnt from photographs; the first of them, which
sees edges and colours, stays as it is, so that what is learnt from drawn people has the chance to hold for
real ones. Worlds with seeds below `models.training.split.TRAINING_SEED` only validate. An interrupted run
begins anew.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional

from models.build import graph as built
from models.build.nanodet import publish, store_half
from models.training import data
from models.training.graph import Writer
from models.training.network import CENTRE, DROP, NANODET_SLOPE, SPREAD, Conv, Counter, Rectifier
from models.training.split import split_of
from models.training.spots import SIDE

NAME = "fallen-112-fp32"
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
BATCH, RATE, DECAY, WARM = 64, 2e-3, 0.02, 100
SMOOTHING = 0.02
"""Labels are that unsure: who is half hidden is sometimes called wrongly."""
STRAY = 6
"""Pixels that a place is shifted by while training, on top of a detector's errors."""

Bytes = NDArray[np.uint8]


class Fallen(nn.Module):
    """One logit for a square picture of `SIDE` pixels: whether somebody lies at its middle."""

    def __init__(self, start: Counter, neck: int = 64) -> None:
        super().__init__()
        self.stem, self.pool, self.stage1, self.stage2 = start.stem, start.pool, start.stage1, start.stage2
        self.join = Conv(128, neck, 2)
        self.last = Conv(neck, neck, 2)
        self.drop = nn.Dropout2d(DROP)
        self.out = nn.Conv2d(neck, 1, SIDE // 32 + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, SIDE, SIDE) float, (level - CENTRE) / SPREAD -> (n, 1, 1, 1)."""
        return self.upper(self.lower(x))

    def lower(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 64, h / 4, w / 4): what is not trained."""
        return self.stage1(self.pool(self.stem(x)))

    def set_slope(self) -> None:
        """Bend the backbone's rectifiers as its weights want it."""
        for part in (self.stem, self.stage1, self.stage2):
            for module in part.modules():
                if isinstance(module, Rectifier):
                    module.slope = NANODET_SLOPE

    def upper(self, x: Tensor) -> Tensor:
        """(n, 64, h / 4, w / 4) -> (n, 1, 1, 1) logits."""
        return self.out(self.drop(self.last(self.join(self.stage2(x)))))


def load(folder: Path) -> dict[str, tuple[Bytes, NDArray[np.bool_], NDArray[np.str_]]]:
    """By split: pixels (n, SIDE, SIDE, 3), whether somebody lies there, what is there."""
    parts: dict[str, list[Any]] = {"train": [], "validation": []}
    for path in sorted(folder.glob("seed*.npz")):
        with np.load(path) as file:
            parts[split_of(path.stem)].append((file["pixels"], file["lies"], file["what"]))
    return {name: tuple(map(np.concatenate, zip(*rows, strict=True))) for name, rows in parts.items()}  # type: ignore[misc]


def tensor(images: Bytes) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) float."""
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    return (planes - CENTRE) / SPREAD


def disturbed(image: Bytes, rng: np.random.Generator) -> Bytes:
    """A picture (SIDE, SIDE, 3) shifted, mirrored, in another light and worse."""
    if rng.random() < 0.5:
        image = image[:, ::-1]
    scale = float(np.exp(rng.normal(0, 0.06)))
    move = rng.uniform(-STRAY, STRAY, 2) + (1 - scale) * SIDE / 2
    matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
    edge = (115, 115, 115)
    moved = cv2.warpAffine(np.ascontiguousarray(image), matrix, (SIDE, SIDE), borderValue=edge)
    if rng.random() < 0.3:  # a camera with fewer pixels
        small = int(rng.integers(SIDE // 3, SIDE))
        moved = cv2.resize(
            cv2.resize(moved, (small, small), interpolation=cv2.INTER_AREA),
            (SIDE, SIDE),
            interpolation=cv2.INTER_LINEAR,
        )
    return data.disturb(np.asarray(moved, np.uint8), rng)


def scores(net: Fallen, images: Bytes) -> NDArray[np.float32]:
    """(n, SIDE, SIDE, 3) pixels -> (n,) probabilities."""
    net.eval()
    with torch.no_grad():
        rows = [torch.sigmoid(net(tensor(images[k : k + 256]))).flatten() for k in range(0, len(images), 256)]
    net.train()
    return np.asarray(torch.cat(rows).numpy(), np.float32)


def report(found: NDArray[np.float32], lies: NDArray[np.bool_], what: NDArray[np.str_]) -> dict[str, Any]:
    """Shares of those who lie that are found at 0.5, and of the others that are taken for one; (n,) each."""
    told = found >= 0.5
    kinds = sorted(set(what[~lies].tolist()))
    return {
        "recall": round(float(told[lies].mean()), 4),
        "false": round(float(told[~lies].mean()), 4),
        "false by kind": {kind: round(float(told[~lies & (what == kind)].mean()), 4) for kind in kinds},
    }


def train(options: argparse.Namespace) -> Fallen:
    """Train; writes a row of `log.jsonl` every `--every` steps and the mean of the weights at the end."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    counter = Counter()
    counter.start_from(WEIGHTS / "nanodet-g-416-fp32.onnx")
    net, mean = Fallen(counter), Fallen(Counter())
    for one in (net, mean):
        one.set_slope()
    mean.load_state_dict(net.state_dict())
    sides = load(options.places)
    images, lies, _ = sides["train"]
    print(f"{len(lies)} places to train with, {lies.mean():.2f} with somebody who lies", file=sys.stderr)
    trained = [weight for part in (net.stage2, net.join, net.last, net.out) for weight in part.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    begun = time.monotonic()
    for step in range(options.steps):
        rng = np.random.default_rng((step, 80))
        rows = rng.integers(len(lies), size=BATCH)
        batch = np.array([disturbed(images[row], rng) for row in rows])
        rate = RATE * min((step + 1) / WARM, 0.5 + 0.5 * np.cos(np.pi * step / options.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            low = net.lower(tensor(batch))
        target = torch.from_numpy(lies[rows].astype(np.float32)) * (1 - 2 * SMOOTHING) + SMOOTHING
        loss = functional.binary_cross_entropy_with_logits(net.upper(low).flatten(), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 5.0)
        optimiser.step()
        with torch.no_grad():
            for one, other in zip(mean.parameters(), net.parameters(), strict=True):
                one.lerp_(other, 1 - min(options.ema, (step + 1) / (step + 10)))
        if (step + 1) % options.every == 0:
            held, truth, kinds = sides["validation"]
            row = {
                "step": step + 1,
                "loss": round(loss.item(), 4),
                "seconds": round(time.monotonic() - begun),
            }
            row |= report(scores(mean, held), truth, kinds)
            print(json.dumps(row), file=sys.stderr, flush=True)
            with (options.run / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            torch.save(mean.state_dict(), options.run / "mean.pt")
    return mean


def to_onnx(net: Fallen) -> onnx.ModelProto:
    """`picture` (batch, SIDE, SIDE, 3) uint8 BGR -> `predictions` (batch, 1) logits."""
    writer = Writer(net.eval().to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]
    logits = writer.run(writer.centred())
    shape = writer.constant("shape", np.array([-1, 1], np.int64))
    writer.nodes.append(helper.make_node("Reshape", [logits, shape], [built.OUTPUT], name=built.OUTPUT))
    body = helper.make_graph(
        writer.nodes,
        "fallen",
        [helper.make_tensor_value_info(built.INPUT, TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(built.OUTPUT, TensorProto.FLOAT, ["batch", 1])],
        writer.tensors,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    return model


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", type=Path, required=True, help="what models.training.spots wrote")
    parser.add_argument("--run", type=Path, required=True, help="folder for the log and the weights")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=250, help="steps between two looks at what is held out")
    parser.add_argument("--ema", type=float, default=0.998, help="decay of the mean of weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write to")
    options = parser.parse_args()
    for folder in (options.run, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    publish(store_half(to_onnx(train(options))), NAME, options.out)


if __name__ == "__main__":
    main()
