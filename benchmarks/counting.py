"""How well the density model counts the people in photographs, beside the plain detector.

    python benchmarks/counting.py DIR [--split validation|all] [--apart PIXELS] [--model NAME] [--json]

DIR has pictures, beside or in `frame`, and `points.json`: file name -> [[x, y] of each head in pixels].
`validation` is the part that `python -m models.training.train` keeps out of training, told by the file's
name alone (models.training.split): the ten minutes that a picture was taken in are on one side or the other.
Errors are counted minus true: MAE, root mean square, bias, altogether and by crowd size. Coverage is the
share of quarters of pictures whose true count lies within 1.96 standard errors, half a head allowed for
counts being whole. Some pictures bear the same mark twice or many times within a few pixels: `--apart 3`
takes marks nearer than that for one; without it all are heads.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, picture, save, say, show
from benchmarks.detector import Photo
from models.density import DensityModel, HeadMap
from models.detector import Detector
from models.errors import ModelError
from models.training.data import single
from models.training.split import split_of
from models.zoo import load_density, load_detector

MODEL = "heads-448-int8"
DETECTOR = "nanodet-g-416-int8"
DETECTOR_THRESHOLD = 0.25
BANDS = ((0, 5), (6, 10), (11, 20), (21, 40), (41, 100), (101, None))
QUARTERS = 2
"""A picture's regions: so many rows and columns of them."""

Floats = NDArray[np.float64]


class DataError(Exception):
    """The data folder is not what it should be; the message says where."""


def read_points(folder: Path) -> dict[str, Floats]:
    """File name -> (n, 2) pixels of heads; raises DataError saying what is wrong with points.json."""
    path = folder / "points.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: is not JSON: {error}") from None
    if not isinstance(listed, dict) or not listed:
        raise DataError(f"{path}: must be an object: file name -> [[x, y] of each head]")
    points = {}
    for name, heads in listed.items():
        try:
            found = np.array(heads, np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            found = np.full((1, 2), np.nan)
        if not isinstance(heads, list) or len(found) != len(heads) or not np.isfinite(found).all():
            raise DataError(f"{path}: {name}: must be a list of [x, y] in pixels")
        points[name] = found
    return points


def open_photo(folder: Path, name: str) -> Photo:
    """The picture, beside points.json or in `frame`; raises DataError if it cannot be read."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{folder / 'points.json'}: {name}: must be a file within the folder")
    for path in (folder / name, folder / "frame" / name):
        if path.is_file():
            try:
                return Photo(path)
            except ValueError as error:
                raise DataError(str(error)) from None
    raise DataError(f"{folder}: {name}: points.json names it, but it is neither here nor in frame")


def regions(found: HeadMap, heads: Floats, photo: Photo) -> list[tuple[float, float, int]]:
    """Count, standard error and true count of each quarter of a picture."""
    rows, columns = found.counts.shape
    # Shares, as the middle of a map of odd sides lies within cells.
    down, across = (_shares(side) for side in (rows, columns))
    place = np.clip(np.floor(heads / (photo.width, photo.height) * QUARTERS), 0, QUARTERS - 1)
    quarters = []
    for row, part in enumerate(down):
        for column, other in enumerate(across):
            share = np.outer(part, other)
            true = int(((place[:, 0] == column) & (place[:, 1] == row)).sum())
            quarters.append((found.count(share), found.stderr(share), true))
    return quarters


def _shares(side: int) -> list[Floats]:
    edges = np.linspace(0, side, QUARTERS + 1)
    cells = np.arange(side)
    return [
        np.clip(np.minimum(cells + 1, high) - np.maximum(cells, low), 0, 1) for low, high in pairwise(edges)
    ]


def figures(counted: Floats, true: Floats) -> dict[str, float]:
    """MAE, RMSE and bias of counts."""
    error = counted - true
    return {
        "mae": float(abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
    }


def by_size(counted: Floats, detected: Floats, true: Floats) -> list[dict[str, Any]]:
    """The same for each band of crowd sizes that there are pictures of."""
    rows: list[dict[str, Any]] = []
    for low, high in BANDS:
        chosen = (true >= low) & (true <= (np.inf if high is None else high))
        if chosen.any():
            rows.append(
                {
                    "people": f"> {low - 1}" if high is None else f"{low}-{high}",
                    "n": int(chosen.sum()),
                    **figures(counted[chosen], true[chosen]),
                    "detector": figures(detected[chosen], true[chosen]),
                }
            )
    return rows


def count_all(
    folder: Path, points: Mapping[str, Floats], model: DensityModel, detector: Detector
) -> dict[str, Any]:
    """Counts of every picture by both, with the time the density model took."""
    counted, detected, true, times = [], [], [], []
    quarters: list[tuple[float, float, int]] = []
    for name in track(points, "counting", console=Console(stderr=True)):
        photo = open_photo(folder, name)
        start = time.perf_counter()
        found = model.count(photo)
        times.append(1e3 * (time.perf_counter() - start))
        boxes = detector.detect(photo, DETECTOR_THRESHOLD)
        counted.append(found.total)
        detected.append(int((boxes.labels == detector.class_names.index("person")).sum()))
        true.append(len(points[name]))
        quarters += regions(found, points[name], photo)
    return summary(*(np.array(values, np.float64) for values in (counted, detected, true, times, quarters)))


def summary(
    counted: Floats, detected: Floats, true: Floats, times: Floats, quarters: Floats
) -> dict[str, Any]:
    """The result from counts by picture, milliseconds, and (m, 3) quarters: count, standard error, true."""
    outside = abs(quarters[:, 0] - quarters[:, 2]) > 1.96 * quarters[:, 1] + 0.5
    other = figures(detected, true)
    return {
        "n": len(true),
        **figures(counted, true),
        "detector_mae": other["mae"],
        "detector_rmse": other["rmse"],
        "detector_bias": other["bias"],
        "coverage_95": float(1 - outside.mean()),
        "ms_median": float(np.median(times)),
        "bands": by_size(counted, detected, true),
        "pictures": {
            "true": true.tolist(),
            "counted": counted.round(2).tolist(),
            "detected": detected.tolist(),
        },
    }


def draw(result: Mapping[str, Any]) -> None:
    """Counted against true, for both."""
    true = result["pictures"]["true"]
    limit = max(1.0, *true)

    def panel(counts: Sequence[float], label: str) -> Any:
        def plot(axes: Any) -> None:
            axes.plot([0, limit], [0, limit], color="0.7", linewidth=1)
            axes.scatter(true, counts, s=9, alpha=0.6)
            axes.set_xlabel("people in the picture")
            axes.set_ylabel(label)

        return plot

    panels = {
        f"density model, MAE {result['mae']:.2f}": panel(result["pictures"]["counted"], "counted"),
        f"detector, MAE {result['detector_mae']:.2f}": panel(result["pictures"]["detected"], "detected"),
    }
    picture("counting", panels)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Count the pictures that the options ask for; raises DataError or ModelError."""
    points = read_points(options.data)
    if options.split == "validation":
        points = {name: heads for name, heads in points.items() if split_of(name) == "validation"}
        if not points:
            raise DataError(f"{options.data}: no picture's name is of the validation split; try --split all")
    if options.apart:
        points = {
            name: heads[single(heads.astype(np.float32), options.apart)] for name, heads in points.items()
        }
    model, detector = load_density(options.model), load_detector(DETECTOR)
    result = {"model": model.name, "sha256": model.sha256, "split": options.split, "apart_px": options.apart}
    return {**result, **count_all(options.data, points, model, detector)}


def main() -> None:
    """Command line."""
    options = parsed(
        __doc__,
        ("data", {"type": Path, "metavar": "DIR", "help": "folder of pictures and points.json"}),
        ("--split", {"choices": ("validation", "all"), "default": "all", "help": "which pictures"}),
        ("--apart", {"type": float, "default": 0.0, "metavar": "PIXELS",
                     "help": "marks nearer to each other are one head (0: all are heads)"}),
        ("--model", {"default": MODEL, "help": "name or manifest"}),
        quick=None,
    )  # fmt: skip
    try:
        result = run(options)
    except (DataError, ModelError) as error:
        say(f"error: {escape(str(error))}")
        raise SystemExit(2) from None
    columns = ("people", "pictures", "MAE", "RMSE", "bias", "detector MAE", "detector bias")
    rows = [
        [b["people"], b["n"], b["mae"], b["rmse"], b["bias"], b["detector"]["mae"], b["detector"]["bias"]]
        for b in result["bands"]
    ]
    whole = [result[key] for key in ("n", "mae", "rmse", "bias", "detector_mae", "detector_bias")]
    show(f"{result['model']}, {options.split}", columns, [*rows, ["all", *whole]])
    say(f"coverage of 95 % intervals {result['coverage_95']:.3f}; {result['ms_median']:.1f} ms a picture")
    save("counting-apart" if options.apart else "counting", result)
    if not options.apart:
        draw(result)
    if options.json:
        print(json.dumps({key: result[key] for key in ("n", "mae", "rmse", "bias", "detector_mae")}))


if __name__ == "__main__":
    main()
