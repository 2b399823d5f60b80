"""Crowd scenes as they truly are: where everybody is five times a second, and the moments of danger.

A scene is played once without drawing it, which takes about a tenth of its time a hundred people, and kept
under `.work`; other sources of the simulator make another recording.
"""

import ast
import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import CACHE
from streams.sim.chronicle import LOOK_EVERY, Chronicle
from streams.sim.crowds import Look
from streams.sim.places import Place
from streams.sim.scenario import CALM_EVERY, SCENARIOS, build
from streams.sim.scene import Scene
from streams.sim.spec import SceneSpec
from streams.sim.truth import TruthEvent
from streams.sim.world import TICK_S, Crowd

FOLDER = CACHE.parent / "crowds"
MOVING = (
    "chronicle", "crowds", "density", "forces", "geometry", "moments", "multitudes", "near", "places",
    "scenario", "scene", "world",
)  # fmt: skip
"""The simulator's modules that say where people are and what is true of them; the others draw."""

STEP_S = LOOK_EVERY * TICK_S
"""Seconds between two looks of the truth."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A played scene.

    Attributes:
        spec: what was played.
        times: (t,) seconds.
        first: (t + 1,) rows of each time's people in the next two: `first[k]:first[k + 1]`.
        number: (n,) the simulator's numbers of people.
        at: (n, 2) metres.
        looks: (t,) what is true of the crowd's zone.
        moments: of danger.
    """

    spec: SceneSpec
    times: Floats
    first: NDArray[np.int64]
    number: NDArray[np.int64]
    at: Floats
    looks: tuple[Look, ...]
    moments: tuple[TruthEvent, ...]

    @property
    def calm(self) -> bool:
        """Whether the crowd is one that keeps within safe limits."""
        return self.spec.seed % CALM_EVERY == CALM_EVERY - 1

    def people(self, k: int) -> tuple[NDArray[np.int64], Floats]:
        """Numbers (n,), rising, and places (n, 2) in metres at the k-th look."""
        rows = slice(self.first[k], self.first[k + 1])
        return self.number[rows], self.at[rows]

    def velocity(self, k: int, over: int = 2) -> tuple[Floats, Floats]:
        """How fast people go at the k-th look, by their places `over` looks ago.

        Returns:
            (n, 2) metres per second, NaN for who was not there yet, and (n,) seconds for which each has been
            seen, up to that time.
        """
        number, at = self.people(k)
        velocity, age = np.full(at.shape, np.nan), np.zeros(len(at))
        for back in range(1, min(over, k) + 1):
            before, was = self.people(k - back)
            row = np.minimum(np.searchsorted(before, number), max(len(before) - 1, 0))
            known = before[row] == number if len(before) else np.zeros(len(at), np.bool_)
            seconds = self.times[k] - self.times[k - back]
            velocity[known] = (at[known] - was[row[known]]) / seconds
            age[known] = seconds
        return velocity, age


class _Positions:
    """An observer for `Scene.observe` that writes down where everybody is, as often as `Chronicle` looks."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.numbers: list[NDArray[np.int64]] = []
        self.places: list[Floats] = []
        self._ticks = 0

    def __call__(self, time_s: float, crowd: Crowd) -> None:
        if self._ticks % LOOK_EVERY == 0:
            self.times.append(round(time_s, 3))
            self.numbers.append(crowd.number.copy())
            self.places.append(crowd.position.copy())
        self._ticks += 1


def spec_of(scenario: str, seed: int, seconds: float, size: tuple[int, int] = (640, 360)) -> SceneSpec:
    """A scenario at the place it plays at."""
    return SceneSpec(scenario, SCENARIOS[scenario].home, seed, size, seconds=seconds)


def record(spec: SceneSpec) -> Recording:
    """Play a scene, or take the recording of an earlier run."""
    path = FOLDER / f"{spec.scenario}-{spec.place}-{spec.seed}-{spec.seconds:g}s-{_sources()}.npz"
    if path.exists():
        return _load(spec, path)
    found = play(spec, spec.scene())
    FOLDER.mkdir(parents=True, exist_ok=True)
    _save(found, path)
    return found


def play(spec: SceneSpec, scene: Scene) -> Recording:
    """Play a scene to the end of `spec.seconds`."""
    seconds = spec.seconds or 0.0
    positions, chronicle = _Positions(), Chronicle(spec.where)
    scene.observe(positions)
    scene.observe(chronicle)
    scene.at(seconds)
    counts = [len(number) for number in positions.numbers]
    return Recording(
        spec,
        np.array(positions.times),
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        np.concatenate(positions.numbers),
        np.concatenate(positions.places),
        chronicle.looks(seconds),
        chronicle.moments(seconds),
    )


def _save(found: Recording, path: Path) -> None:
    looks = np.array([[getattr(look, one.name) for one in fields(Look)] for look in found.looks])
    unfinished = path.with_suffix(".part.npz")
    np.savez_compressed(
        unfinished,
        times=found.times,
        first=found.first,
        number=found.number.astype(np.int32),
        at=np.round(found.at * 1024).astype(np.int32),  # to a millimetre
        looks=looks,
        moments=json.dumps([asdict(moment) for moment in found.moments]),
    )
    unfinished.replace(path)


def _load(spec: SceneSpec, path: Path) -> Recording:
    with np.load(path) as kept:
        whole = [one.name for one in fields(Look) if one.type in (int, "int")]
        looks = []
        for row in kept["looks"].tolist():
            values: dict[str, Any] = dict(zip((one.name for one in fields(Look)), row, strict=True))
            looks.append(Look(**{k: int(v) if k in whole else v for k, v in values.items()}))
        moments = tuple(TruthEvent(**moment) for moment in json.loads(str(kept["moments"])))
        number, at = kept["number"].astype(np.int64), kept["at"] / 1024
        return Recording(spec, kept["times"], kept["first"], number, at, tuple(looks), moments)


@cache
def _sources() -> str:
    """What tells the simulator's sources from others; comments, docstrings and layout do not count."""
    return sources_of(Path(__file__).parents[1] / "streams" / "sim")


def sources_of(folder: Path) -> str:
    """The same of a folder with the simulator's modules."""
    digest = hashlib.sha256()
    for name in MOVING:
        tree = ast.parse((folder / f"{name}.py").read_bytes())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [one for one in body if not _is_words(one)]  # type: ignore[attr-defined]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:12]


def _is_words(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


__all__ = ["FOLDER", "STEP_S", "Place", "Recording", "build", "play", "record", "spec_of"]
