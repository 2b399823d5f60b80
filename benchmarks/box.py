"""The box under test: N cameras that play arranged footage in real time, and a system that watches them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import clips, scenes
from benchmarks.clips import Footage
from benchmarks.observed import Observation

KINDS = ("hazard.intrusion", "hazard.line")
DESK, DESK_S, VISITS = "one-by-one-person-detection.mp4", 139.0, 6
"""Real footage, its length, and how often somebody comes."""
PHASES = 8
"""Cameras of one scene begin at so many places of its loop; those of one phase show the same."""
GOLDEN = 0.618
MOST_IMPORTANT = 9
CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Workload:
    """What the cameras show.

    Attributes:
        share: of each camera's time in which somebody is there.
        cbr: at a constant bit rate instead of a variable one.
        scenes: how many of `clips.SCENES` are in use.
    """

    share: float = 0.1
    cbr: bool = False
    scenes: int = len(clips.SCENES)

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"{'CBR' if self.cbr else 'VBR'}, {self.share:.0%} active"


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera: its section of a configuration, and what it shows."""

    section: Mapping[str, Any]
    footage: Footage

    @property
    def id(self) -> str:
        """The camera's id."""
        return str(self.section["id"])


def cameras(count: int, seconds: float, workload: Workload, priority: int = 0) -> list[Camera]:
    """So many cameras of a workload, with footage for `seconds`.

    Scenes take turns; the phases spread, so that visits come evenly.

    Args:
        count: how many.
        seconds: how long their files last at least.
        workload: what they show.
        priority: how many of them, the first ones, are declared the most important.
    """
    found = []
    for k in range(count):
        scene, turn = k % workload.scenes, k // workload.scenes
        phase = int((turn * GOLDEN + scene / workload.scenes) % 1 * PHASES) / PHASES
        shown = clips.footage(scene, phase, seconds, workload.share, cbr=workload.cbr)
        section = scenes.camera_section(
            scenes.Clip(shown.path, shown.clip.truth), [{"kind": kind} for kind in KINDS], f"camera-{k:03d}"
        )
        if k < priority:
            section["priority"] = MOST_IMPORTANT
        found.append(Camera(section, shown))
    return found


def watch_with_node(
    shown: Sequence[Camera], warm_up_s: float, seconds: float, *, stages: bool = False
) -> Observation:
    """Let the product watch the cameras in real time.

    Args:
        shown: the cameras.
        warm_up_s: how long before the measured while.
        seconds: length of the measured while.
        stages: whether to take CPU time by stage, which costs a little itself.

    Raises:
        RuntimeError: the node failed; with its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "node": {"id": "bench", "district": "360103", "data_dir": str(Path(folder) / "data")},
            "cameras": [dict(camera.section) for camera in shown],
        }
        job = {"config": config, "warm_up_s": warm_up_s, "seconds": seconds, "stages": stages}
        return run([("benchmarks.probe", job)], Path(folder))[0]


def watch_with_loop(system: str, shown: Sequence[Camera], seconds: float) -> Observation:
    """Let one of the systems of `loops` watch the cameras in real time, a process a core.

    Args:
        system: its name.
        shown: the cameras, dealt out to the processes.
        seconds: of each camera's video.
    """
    return _loops(system, shown, seconds, [0.0] * len(shown), 0.0, realtime=True)


def cost_of_loop(
    system: str, shown: Sequence[Camera], seconds: float, *, warm_up_s: float = 0.0, begin_s: Sequence[float]
) -> Observation:
    """Let one of the systems of `loops` go through the cameras' files as fast as it can, all cores at work.

    Args:
        system: its name.
        shown: the cameras, dealt out to the processes, a process a core.
        seconds: of each camera's video that count.
        warm_up_s: of each camera's video before them.
        begin_s: where in each camera's file to begin.
    """
    return _loops(system, shown, seconds, begin_s, warm_up_s, realtime=False)


def _loops(
    system: str,
    shown: Sequence[Camera],
    seconds: float,
    begin_s: Sequence[float],
    warm_up_s: float,
    *,
    realtime: bool,
) -> Observation:
    jobs = []
    for k in range(min(CORES, len(shown))):
        mine = range(k, len(shown), CORES)
        job = {
            "system": system,
            "cameras": [dict(shown[c].section) for c in mine],
            "begin_s": [begin_s[c] for c in mine],
            "stagger_s": [stagger_s(c) for c in mine],
            "warm_up_s": warm_up_s,
            "seconds": seconds,
            "realtime": realtime,
        }
        jobs.append(("benchmarks.loops", job))
    with tempfile.TemporaryDirectory() as folder:
        parts = run(jobs, Path(folder))
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def stagger_s(index: int) -> float:
    """How much later than the first a camera begins: real ones do not send their keyframes all at once.

    >>> [round(stagger_s(k), 2) for k in range(4)]
    [0.0, 1.24, 0.47, 1.71]
    """
    return index * GOLDEN % 1 * clips.GOP_S


def run(jobs: Sequence[tuple[str, Mapping[str, Any]]], folder: Path) -> list[Observation]:
    """Run each job in a process of its own, side by side.

    Raises:
        RuntimeError: one failed; with its last words.
    """
    started = []
    try:
        for k, (module, job) in enumerate(jobs):
            paths = [folder / f"{k}.{name}" for name in ("job", "out", "log")]
            paths[0].write_text(json.dumps(job))
            with paths[2].open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", module, str(paths[0]), str(paths[1])],
                    stdout=log,
                    stderr=log,
                    cwd=Path(__file__).parents[1],
                )
            started.append((process, paths))
        for process, paths in started:
            if process.wait() != 0:
                words = paths[2].read_text()[-3000:]
                raise RuntimeError(f"a measuring process ended with {process.returncode}:\n{words}")
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
    return [Observation.load(paths[1]) for _, paths in started]


def desk(media: Path) -> Camera | None:
    """Real footage as a camera: somebody comes to a desk six times; None where the footage is not there."""
    source = media / DESK
    if not source.is_file():
        return None
    path = clips.upscaled(source)
    section = {
        "id": "desk",
        "source": str(path),
        "zones": [{"id": "desk", "polygon": [[0.48, 0.80], [0.72, 0.80], [0.72, 1.0], [0.48, 1.0]]}],
        "rules": [{"kind": "hazard.intrusion", "zone": "desk", "min_presence_s": 1, "release_s": 3}],
    }
    return Camera(section, Footage(clips.render(0), path, (), ()))


def footage_of(shown: Sequence[Camera]) -> dict[str, Footage]:
    """By camera id, what it shows."""
    return {camera.id: camera.footage for camera in shown}
