#!/usr/bin/env python3
"""Train the density model.

    pip install "sharpeyes[training]"
    python -m models.training.scenes --out SCENES
    python -m models.training.train --data PHOTOGRAPHS --data SCENES --shares 0.6 0.4 --apart 3 0 --out RUN
    python -m models.training.export --run RUN --scenes SCENES --check PHOTOGRAPHS

A data folder has pictures (beside it or in `frame`) and `points.json`: file name -> [[x, y] of each head].
`models.training.split` says which pictures are kept for validation, by their names; drawn pictures alone are
enough to try it. Interrupted, the same command goes on from the last checkpoint; a batch is a function of its
step and the seed, so on one machine, with one thread, the same command gives the same weights.
"""

import argparse
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training import data
from models.training.network import CENTRE, NANODET_SLOPE, SPREAD, Counter, expected
from models.training.split import split_of
from models.training.spread import block_sums

DETECTOR = Path(__file__).resolve().parent.parent / "weights" / "nanodet-g-416-fp32.onnx"

CROP = (256, 256)
"""Width and height of the parts that are trained on."""

COOL = 0.6
"""Share of the steps, at the end, over which the learning rate goes down to nothing."""

MILDEST = 0.5
"""Pictures are altered less as the rate goes down, to this share: real ones are as they are."""

BEND = 0.15
"""Share of the steps, at the beginning, over which the backbone's leaky ReLUs become plain ones."""

MOSAICS = 0.15
"""Share of training pictures that are made of two."""

SPLICES = (0.4, 0.4, 0.2)
"""Shares of whole pictures that none, one or two others are spliced into, side by side.

Cameras of one kind see far people at the top and near ones at the bottom, so a picture whose left comes
from one and whose right from another is as good as a third. A few hundred photographs are learnt by heart
otherwise.
"""

DECAY = 1e-2
"""Weight decay of AdamW."""

MANY = 15.0
"""Heads in a crop above which it weighs less."""

BLOCKS = (4, 8)
"""Sides, in cells, of the blocks whose counts the loss compares besides the cells' and the picture's."""

BANDS = ((0, 5), (6, 10), (11, 20), (21, 40), (41, 100), (101, 10_000))
"""Crowd sizes that errors are given for."""

DENSE = (5, 10, 20)
"""Heads in a block of 8 x 8 cells, from which on its relative errors are given."""

WHOLE = 0.5
"""Share of the steps after which whole pictures are learnt from, in place of crops.

Crops teach what heads look like, of any size and anywhere. But who is marked at the far end of a view and
at its edges, where people are a few pixels high or cut off, shows only in whole pictures.
"""

Pools = Sequence[Sequence[data.Sample]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Training pictures (n, 3, h, w) float as `Counter` takes them, and their counts (n, h / 8, w / 8)."""

    images: Tensor
    counts: Tensor


def tensor(images: Sequence[data.Image]) -> Tensor:
    """(n, 3, h, w) float as `Counter` takes it, of (h, w, 3) uint8 pictures of one size."""
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return ((stacked - CENTRE) / SPREAD).contiguous(memory_format=torch.channels_last)


def make_batch(
    pools: Pools, shares: Sequence[float], size: int, seed: tuple[int, int], strength: float
) -> Batch:
    """A batch of `size` random crops, each from a pool by its share; the same for the same (seed, step).

    `strength`, 0 to 1: how much they are altered.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    images, counts = [], []

    def draw() -> tuple[data.Image, data.Points]:
        pool = pools[int(rng.choice(len(pools), p=shares))]
        return data.crop(pool[int(rng.integers(len(pool)))], CROP, rng, strength)

    for _ in range(size):
        image, points = draw()
        if rng.random() < MOSAICS * strength:
            image, points = data.mosaic((image, points), draw(), rng)
        images.append(data.disturb(image, rng, strength))
        counts.append(data.cells(points, image.shape[:2]))
    return Batch(tensor(images), torch.from_numpy(np.stack(counts)))


def make_whole_batch(
    pools: Pools, shares: Sequence[float], size: int, seed: tuple[int, int], strength: float
) -> Batch:
    """As `make_batch`, but of whole pictures of one shape, fewer as they are larger."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pool = pools[int(rng.choice(len(pools), p=shares))]
    first = pool[int(rng.integers(len(pool)))]
    alike = [sample for sample in pool if sample.image.shape == first.image.shape]
    height, width = first.image.shape[:2]
    scale = float(np.exp(np.clip(rng.normal(0.0, 0.04 + 0.1 * strength), -0.25, 0.25)))
    shape = data.input_size(width, height, round(data.LONG_SIDE * scale))
    images, counts = [], []

    def draw() -> tuple[data.Image, data.Points]:
        return data.whole_at(alike[int(rng.integers(len(alike)))], shape, rng)

    for _ in range(max(1, round(size * CROP[0] * CROP[1] / (shape[0] * shape[1])))):
        image, points = draw()
        for _ in range(int(rng.choice(len(SPLICES), p=SPLICES))):
            image, points = data.mosaic((image, points), draw(), rng, axis=0)
        images.append(data.disturb(image, rng, strength))
        counts.append(data.cells(points, image.shape[:2]))
    return Batch(tensor(images), torch.from_numpy(np.stack(counts)))


def loss_of(logits: Tensor, counts: Tensor) -> Tensor:
    """Mean over the batch: negative log-likelihood of the cells' counts, plus errors of larger blocks.

    The first is that of the zero-inflated Poisson distribution; the second, a Huber error in units of the
    square root of the count, holds sums together that single cells are indifferent to. A picture of hundreds
    weighs more than one of ten, but not so many times more. Both weights go by the count that was found,
    taken as given: by the true one, who guesses low where much is hidden would pay less than who guesses
    high, and dense crowds would be counted too low.
    """
    present, plain_rate = logits[:, 0], functional.softplus(logits[:, 1])
    rate = plain_rate + 1e-6
    log_present = functional.logsigmoid(present)
    empty = torch.logaddexp(functional.logsigmoid(-present), log_present - rate)
    filled = log_present + counts * torch.log(rate) - rate - torch.lgamma(counts + 1)
    found = torch.sigmoid(present) * plain_rate
    weight = torch.rsqrt(1 + found.detach().sum((1, 2)) / MANY)
    total = -(weight * torch.where(counts > 0, filled, empty).sum((1, 2))).mean()
    for side in BLOCKS:
        a = functional.avg_pool2d(found[:, None], side) * side**2
        b = functional.avg_pool2d(counts[:, None], side) * side**2
        total = total + 0.5 * (side / 8) ** 0.5 * (weight * _off(a, b).sum((1, 2, 3))).mean()
    return total + 2.0 * (weight * _off(found.sum((1, 2)), counts.sum((1, 2)))).mean()


def _off(found: Tensor, true: Tensor) -> Tensor:
    """Huber's error of counts of any shape, in units of the square root of what was found."""
    scale = torch.sqrt(found.detach() + 1)
    return functional.huber_loss(found / scale, true / scale, reduction="none")


def ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """Batches by step, made in another thread while the network learns from the one before."""
    waiting: queue.Queue[Batch | BaseException] = queue.Queue(3)

    def work() -> None:
        try:
            for step in steps:
                waiting.put(make(step))
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for the batch
            waiting.put(error)

    threading.Thread(target=work, daemon=True).start()
    for _ in steps:
        batch = waiting.get()
        if isinstance(batch, BaseException):
            raise batch
        yield batch


def errors_of(net: Counter, samples: Sequence[data.Sample]) -> dict[str, Any]:
    """MAE, RMSE and bias of whole pictures' counts; (pictures, MAE, bias) by crowd size.

    `dense`: (blocks, mean relative error, bias of the sum) of blocks by least heads.
    """
    net.eval()
    pairs = []
    with torch.no_grad():
        for sample in samples:
            image = data.whole(sample)
            points = sample.points * (np.array(image.shape[1::-1]) / sample.image.shape[1::-1])
            true = data.cells(points.astype(np.float32), image.shape[:2])
            pairs.append((expected(net(tensor([image])))[0].numpy(), true))
    net.train()
    truth = np.array([len(sample.points) for sample in samples])
    error = np.array([float(counted.sum()) for counted, _ in pairs]) - truth
    bands = {}
    for low, high in BANDS:
        chosen = error[(truth >= low) & (truth <= high)]
        if len(chosen):
            bands[f"{low}-{high}"] = (len(chosen), float(abs(chosen).mean()), float(chosen.mean()))
    blocks = block_sums([counted for counted, _ in pairs], [true for _, true in pairs], 8)
    dense = {}
    for least in DENSE:
        rows = blocks[blocks[:, 0] >= least]
        if len(rows):
            off, bias = abs(rows[:, 1] / rows[:, 0] - 1).mean(), rows[:, 1].sum() / rows[:, 0].sum() - 1
            dense[str(least)] = (len(rows), float(off), float(bias))
    return {
        "mae": float(abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
        "bands": bands,
        "dense": dense,
    }


def rate_at(step: int, steps: int) -> float:
    """Factor on the learning rate: up in 100 steps, flat, and down as a cosine."""
    begin = steps * (1 - COOL)
    down = 1.0 if step < begin else 0.5 + 0.5 * math.cos(math.pi * (step - begin) / (steps - begin))
    return min(1.0, (step + 1) / 100) * max(down, 0.01)


class Run:
    """A training run in its folder: network, mean of its weights, optimiser, step.

    `rate`: the learning rate, as a factor.
    """

    def __init__(self, folder: Path, rate: float) -> None:
        self.net, self.mean = (Counter().to(memory_format=torch.channels_last) for _ in range(2))  # type: ignore[call-overload]
        self.net.start_from(DETECTOR)
        self.mean.load_state_dict(self.net.state_dict())
        old = {id(weight) for conv in self.net.backbone() for weight in conv.parameters()}
        new = [weight for weight in self.net.parameters() if id(weight) not in old]
        known = [weight for weight in self.net.parameters() if id(weight) in old]
        self.rates = (rate, rate / 3)
        self.optimiser = torch.optim.AdamW([{"params": new}, {"params": known}], lr=rate, weight_decay=DECAY)
        self.step = 0
        self._folder = folder
        self._file = folder / "last.pt"
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            state = torch.load(self._file)
            for name in ("net", "mean", "optimiser"):
                getattr(self, name).load_state_dict(state[name])
            self.step = state["step"]
            for group in self.optimiser.param_groups:  # a run that goes on decays as the code says now
                group["weight_decay"] = DECAY

    def learn(self, batch: Batch, steps: int, ema: float) -> float:
        """One step of `steps`; returns the loss, no unit. `ema`: share of the mean weights that stays."""
        slope = NANODET_SLOPE * max(0.0, 1 - self.step / (BEND * steps))
        for net in (self.net, self.mean):
            net.set_slope(slope)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * rate_at(self.step, steps)
        with torch.set_grad_enabled(slope > 0):  # what COCO taught of edges and colours stays, once bent
            edges = self.net.lower(batch.images)
        loss = loss_of(self.net.upper(edges), batch.counts)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 20.0)
        self.optimiser.step()
        decay = min(ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, weight in zip(self.mean.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)
        self.step += 1
        return float(loss.detach())

    def save(self, row: dict[str, Any]) -> None:
        """Write a checkpoint, and a line into the log."""
        state = {name: getattr(self, name).state_dict() for name in ("net", "mean", "optimiser")}
        torch.save(state | {"step": self.step}, self._folder / "new.pt")
        (self._folder / "new.pt").replace(self._file)
        with (self._folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")


def train(options: argparse.Namespace) -> None:
    """All steps from the last checkpoint on."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    gaps = options.apart or [0.0] * len(options.data)
    folders = [data.load(folder) for folder in options.data]
    pools = [
        [data.apart(one, gap) for one in samples if split_of(one.name) == "train"]
        for samples, gap in zip(folders, gaps, strict=True)
    ]
    held = [[one for one in samples if split_of(one.name) == "validation"] for samples in folders]
    print(f"pictures to train with {[len(p) for p in pools]}, to validate with {[len(p) for p in held]}")
    shares = np.array(options.shares or [1.0] * len(pools))
    run = Run(options.out, options.rate)
    steps = range(run.step, options.steps)
    chances = list(shares / shares.sum())
    losses: list[float] = []
    began = time.monotonic()

    def make(step: int) -> Batch:
        strength = max(MILDEST, rate_at(step, options.steps))
        kind = make_batch if step < WHOLE * options.steps else make_whole_batch
        return kind(pools, chances, options.batch, (options.seed, step), strength)

    batches = ahead(make, steps)
    for batch in batches:
        while options.pause_file is not None and options.pause_file.exists():
            time.sleep(2)
        losses.append(run.learn(batch, options.steps, options.ema))
        pace = (time.monotonic() - began) / len(losses)
        if run.step % 20 == 0:
            left = (options.steps - run.step) * pace / 60
            loss = np.mean(losses[-20:])
            print(f"step {run.step}: loss {loss:.2f}, {pace:.2f} s a step, {left:.0f} min to go", flush=True)
        if run.step % options.every == 0 or run.step == options.steps:
            row: dict[str, Any] = {
                "step": run.step,
                "loss": float(np.mean(losses[-options.every :])),
                "pace_s": pace,
            }
            row["validation"] = [errors_of(run.mean, samples) for samples in held if samples]
            run.save(row)
            print(json.dumps(row), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder; may be repeated")
    parser.add_argument("--shares", type=float, nargs="+", help="how often each folder is drawn from")
    parser.add_argument(
        "--apart",
        type=float,
        nargs="+",
        help="pixels, for each folder: a mark nearer to another is a stray one and not learnt from",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and log")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=8, help="crops a step")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate; the backbone's is a third")
    parser.add_argument("--ema", type=float, default=0.9985, help="decay of the mean of weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=200, help="steps between validations and checkpoints")
    parser.add_argument("--pause-file", type=Path, help="wait while this file exists")
    options = parser.parse_args()
    for name in ("shares", "apart"):
        values = getattr(options, name)
        if values is not None and len(values) != len(options.data):
            parser.error(f"--{name} takes one number a --data folder")
    train(options)


if __name__ == "__main__":
    main()
