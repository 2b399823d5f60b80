"""Whether redaction covers every head, and leaves nothing of it, in simulated scenes.

    python benchmarks/redaction.py [--json] [--quick] [--seeds 0-1] [--fps 2]

People run, walk, sit, fall and crowd, by day, in rain and at night, before cameras that are analysed at 2
pictures a second with the shipped detector and tracker. Every picture of the camera is redacted twice: as
live video, which knows looks of the past only, each 0.2 s late, and as a clip or snapshot, which is made some
seconds later and knows the looks on both sides. The simulator tells which pixels show heads.

`head_pixels_covered` is the share of head pixels covered in the worst picture of all. `correlation_inside` is
the larger of two means, by size: of the correlation between a picture and its redacted self over all of its
head pixels, and of the same within single heads.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import finish, parsed, show
from benchmarks.redaction_fills import fills
from benchmarks.redaction_scenes import QUICK, SIZE, THEMES, spec_of
from benchmarks.redaction_seen import Shown, pictures, recorded
from edge.cover import CoverOptions, Witnessed
from edge.looks import Look
from edge.redactor import Redactor, Sightings

Mode = Literal["live", "clip"]
MODES: tuple[Mode, ...] = ("live", "clip")
LATE_S = 0.2
"""After so long a look counts in live video; a node at 80 % load takes 0.15 s at the median."""
CLIP_AFTER_S = 10.0
"""A clip is made when what comes after its middle is there."""
LEARNED_S = 25.0
"""From then on the share of pictures that is covered is told: before, the place is still being learned."""
WANTED = 0.995
TIMED_S = (12.0, 14.0)
LEAST_PIXELS = 24
"""Smaller heads have no correlation of their own."""
PERSON = 0
BARE = 255


@dataclass(frozen=True, slots=True)
class _Replayed:
    """A recorded picture: its small brightness, and of the large one the pixels that show heads."""

    shown: Shown

    @property
    def width(self) -> int:
        return SIZE[0]

    @property
    def height(self) -> int:
        return SIZE[1]

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        raise NotImplementedError

    def crop(self, part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        raise NotImplementedError

    def luma(self, _width: int, _height: int) -> NDArray[np.uint8]:
        return self.shown.luma

    def yuv(self, width: int, height: int) -> NDArray[np.uint8]:
        """Heads as bright as no pattern is, so that what is left of them shows."""
        yuv = np.zeros((height * 3 // 2, width), np.uint8)
        yuv.reshape(-1)[self.shown.at] = BARE
        return yuv


@dataclass(frozen=True, slots=True)
class Found:
    """What redaction made of one picture.

    Attributes:
        pts_s: camera time.
        covered: share of its head pixels that are covered; 1 without heads.
        pixels: how many head pixels there are.
        missed: how many heads lost less than all.
        pooled: correlation over all head pixels; NaN without.
        within: correlations within single heads.
        share: of the picture that is covered.
    """

    pts_s: float
    covered: float
    pixels: int
    missed: int
    pooled: float
    within: tuple[float, ...]
    share: float


def watched(shown: list[Shown], mode: Mode, seed: int) -> Iterator[Found]:
    """Redact every picture of a recording."""
    sightings, redactor = Sightings(), Redactor(CoverOptions(), np.random.default_rng(seed))
    ahead_s = -LATE_S if mode == "live" else CLIP_AFTER_S
    looks = iter([one for one in shown if one.looked is not None])
    waiting = next(looks, None)
    for one in shown:
        while waiting is not None and waiting.pts_s <= one.pts_s + ahead_s:
            sightings.take(_look(waiting))
            waiting = next(looks, None)
        yield _judged(one, redactor, sightings.around(one.pts_s, live=mode == "live"))


def _look(shown: Shown) -> Look:
    looked = shown.looked
    assert looked is not None  # noqa: S101 - the caller chose those
    return Look.of(shown.pts_s, shown.luma, looked.found, looked.tracks, PERSON)


def _judged(shown: Shown, redactor: Redactor, witnessed: Witnessed) -> Found:
    result = redactor.apply(_Replayed(shown), shown.pts_s, witnessed)
    after = result.yuv.reshape(-1)[shown.at]
    bare = after == BARE
    after = np.where(bare, shown.bright, after)
    before = shown.bright.astype(np.float64)
    heads = [shown.whose == number for number in np.unique(shown.whose)]
    within = [correlation(before[head], after[head]) for head in heads if head.sum() >= LEAST_PIXELS]
    return Found(
        shown.pts_s,
        1.0 - float(bare.mean()) if len(bare) else 1.0,
        len(bare),
        sum(bool(bare[head].any()) for head in heads),
        correlation(before, after),
        tuple(value for value in within if not np.isnan(value)),
        result.covered,
    )


def correlation(before: NDArray[np.number], after: NDArray[np.number]) -> float:
    """Pearson's, of two rows of pixels; NaN where one of them does not vary."""
    if not len(before) or not (np.ptp(before) and np.ptp(after)):
        return float("nan")
    return float(np.corrcoef(before, after)[0, 1])


def measure(names: tuple[str, ...], seeds: tuple[int, ...], fps: float, *, quick: bool) -> dict[str, Any]:
    """Every theme and seed, in both modes."""
    rows: list[dict[str, Any]] = []
    for name in names:
        for seed in seeds:
            spec = spec_of(name, seed, quick=quick)
            shown = list(recorded(spec, fps, night=THEMES[name].night))
            for mode in MODES:
                found = list(watched(shown, mode, seed))
                rows.append(
                    {"theme": name, "seed": seed, "place": spec.place, "mode": mode, **_summary(found)}
                )
    pooled, within = (_mean(rows, key) for key in ("correlation_pooled", "correlation_within"))
    worst = min(rows, key=lambda row: row["head_pixels_covered"])
    return {
        "head_pixels_covered": worst["head_pixels_covered"],
        "correlation_inside": max(abs(pooled), abs(within)),
        "correlation_pooled": pooled,
        "correlation_within": within,
        "head_pixels_covered_overall": _mean(rows, "head_pixels_covered_overall", "pixels"),
        "pictures_below": sum(row["pictures_below"] for row in rows),
        "pictures": sum(row["pictures"] for row in rows),
        "worst": {key: worst[key] for key in ("theme", "seed", "mode", "worst_s")},
        "picture_covered": {
            mode: _mean([row for row in rows if row["mode"] == mode], "picture_covered") for mode in MODES
        },
        "scenes": rows,
    }


def _summary(found: list[Found]) -> dict[str, Any]:
    pixels = np.array([one.pixels for one in found])
    covered = np.array([one.covered for one in found])
    within = [value for one in found for value in one.within]
    worst = int(covered.argmin())
    return {
        "head_pixels_covered": float(covered[worst]),
        "worst_s": found[worst].pts_s,
        "head_pixels_covered_overall": float((covered * pixels).sum() / max(pixels.sum(), 1)),
        "pictures": len(found),
        "pictures_below": int((covered < WANTED).sum()),
        "pixels": int(pixels.sum()),
        "heads_missed": sum(one.missed for one in found),
        "correlation_pooled": float(np.nanmean([one.pooled for one in found])),
        "correlation_within": float(np.mean(within)),
        "picture_covered": float(np.mean([one.share for one in found if one.pts_s >= LEARNED_S] or [1.0])),
    }


def timed(fps: float, *, quick: bool) -> float:
    """Median milliseconds of `Redactor.apply` for a decoded 720p picture of people who walk, live."""
    spec, sightings = spec_of("fall", 0, quick=quick), Sightings()
    for one in recorded(spec, fps):
        if one.looked is not None and one.pts_s <= TIMED_S[1]:
            sightings.take(_look(one))
    redactor, taken = Redactor(CoverOptions(), np.random.default_rng(1)), []
    for pts_s, picture, _ in pictures(spec):
        if pts_s > TIMED_S[1]:
            break
        if pts_s >= TIMED_S[0]:
            witnessed, began = sightings.around(pts_s, live=True), time.perf_counter()
            redactor.apply(picture, pts_s, witnessed)
            taken.append((time.perf_counter() - began) * 1e3)
    return float(np.median(taken))


def _mean(rows: list[dict[str, Any]], key: str, weight: str | None = None) -> float:
    weights = None if weight is None else [row[weight] for row in rows]
    return float(np.average([row[key] for row in rows], weights=weights))


def _seeds(text: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last or first) + 1))


def _report(result: Mapping[str, Any]) -> None:
    columns = (
        "theme",
        "place",
        "mode",
        "worst",
        "overall",
        "below",
        "r pooled",
        "r within",
        "covered",
    )
    keys = ("theme", "place", "mode", "head_pixels_covered", "head_pixels_covered_overall", "pictures_below")
    more = ("correlation_pooled", "correlation_within", "picture_covered")
    show("redaction", columns, [[row[key] for key in (*keys, *more)] for row in result["scenes"]])
    show(
        "what could cover instead",
        ("fill", "r pooled", "r within", "kbit/s"),
        [list(one.values()) for one in result["fills"]],
    )
    for key in (
        "head_pixels_covered",
        "correlation_inside",
        "pictures_below",
        "picture_covered",
        "worst",
        "ms",
    ):
        print(f"{key}: {result[key]}", file=sys.stderr)


def main() -> None:
    """Run it."""
    seeds = ("--seeds", {"default": "0-1", "help": "of the scenes, from-to"})
    fps = ("--fps", {"type": float, "default": 2.0, "help": "looks a second"})
    args = parsed(__doc__, seeds, fps, quick="two scenes of half a minute, about a minute in all")
    names, numbers = (QUICK, (0,)) if args.quick else (tuple(THEMES), _seeds(args.seeds))
    result = {
        **measure(names, numbers, args.fps, quick=args.quick),
        "ms": timed(args.fps, quick=args.quick),
        "fills": fills(),
    }
    _report(result)
    finish("redaction", args, result, ("head_pixels_covered", "correlation_inside", "picture_covered", "ms"))


if __name__ == "__main__":
    main()
