"""Evidence while a node is asked for several times what its box can do: is it there, and is it right?

    python benchmarks/evidence.py                       26 cameras: far more than two cores carry
    python benchmarks/evidence.py --cameras 20 --json   `made, times_exact, heads_changed, overload`

So many cameras of 1280x720 at 25 pictures a second play a drawn walk in real time, somebody always in view.
Half a minute after the start an incident of one of them is told. Of its piece of evidence: whether its
pictures are at exactly the recording's times; how much the middle pixel differs from the recording at those
times (grey levels: the codec's own loss, unless most is covered); the share of drawn heads whose
pixels are other than recorded; and how often analysis looked there, and the maker itself. `overload` is the
pictures a second that all cameras want analysed, of those that were.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import CACHE, save, show
from edge.config import Config
from edge.events import EventContext, incident_event
from edge.identifiers import Uuid7
from edge.incidents import Change
from edge.manifest import CLIP
from edge.runtime import Node
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec

WATCHED = "watched"
SPEC = SceneSpec("walk", "plaza", seed=5, size=(1280, 720), fps=25.0, seconds=60.0)
TELL_S = 30.0
"""Seconds after the start at which the incident is told: by then the empty place is known."""
HEAD = (0.25, 0.0, 0.75, 0.14)
"""Of a person's box, where the head is."""
SMALLEST_PX = 48
CHANGED = 12.0
"""Grey levels by which a head's pixels must differ in the mean to count as covered."""


def clip() -> Path:
    """The cameras' recording, drawn once, and its truth beside it."""
    path = CACHE / "live-walk-plaza-5.mp4"
    if not path.exists() or not path.with_suffix(".json").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with Progress() as progress:
            task = progress.add_task("drawing", total=round(SPEC.fps * (SPEC.seconds or 60.0)))
            part = path.with_suffix(".part.mp4")
            write_clip(SPEC, part, path.with_suffix(".json"), lambda k, _: progress.update(task, completed=k))
        part.rename(path)
    return path


def config_of(folder: Path, cameras: int) -> Config:
    """A node with so many cameras, of which one tells."""
    line = {"id": "edge", "points": [[0.001, 0.0], [0.001, 0.01]]}
    every = [
        {
            "id": WATCHED if k == 0 else f"other-{k}",
            "source": str(clip()),
            "lines": [line],
            "rules": [{"kind": "hazard.line", "line": "edge"}],
        }
        for k in range(cameras)
    ]
    return Config.model_validate({"node": {"data_dir": str(folder)}, "cameras": every})


def tell(node: Node) -> None:
    """An incident of the watched camera, now."""
    new_id, now = Uuid7(lambda: datetime.now(UTC)), datetime.now(UTC)
    change = Change(new_id(), "begin", "hazard.line", "edge", 2, now, now, {"count": 1.0}, 0.9, ())
    draft = incident_event(EventContext(node.config.node.id, "000000", new_id, WATCHED), change)
    node.evidence.told(WATCHED, [draft], node._watches[WATCHED].pts_s, {})


async def observed(folder: Path, cameras: int) -> dict[str, Any]:
    """Run the node until the evidence is there."""
    async with Node.open(config_of(folder, cameras)) as node:
        began_s = time.monotonic()
        rates: list[float] = []
        with Progress() as progress:
            task = progress.add_task(f"{cameras} cameras", total=120)
            while time.monotonic() - began_s < 120:
                progress.update(task, completed=time.monotonic() - began_s)
                await asyncio.sleep(1)
                if len(rates) == round(TELL_S):
                    tell(node)
                rates.append(sum(camera.analysed_fps or 0.0 for camera in node.status().cameras))
                if node.evidence.sample().maker.made:
                    break
        pieces = node.evidence.store.of(WATCHED)
        status = {camera.id: camera.analysed_fps or 0.0 for camera in node.status().cameras}
        found: dict[str, Any] = {
            "made": len(pieces),
            "failed": dict(node.evidence.sample().maker.failed),
            "wanted_fps": 5.0 * cameras,
            "analysed_fps": round(float(np.median(rates[10:] or rates)), 1),
            "watched_fps": round(status[WATCHED], 2),
        }
        found["overload"] = round(found["wanted_fps"] / max(found["analysed_fps"], 0.1), 2)
        if not pieces:
            return {**found, "times_exact": False, "heads_changed": 0.0}
        manifest = pieces[0].manifest
        told = {
            "pictures": manifest.pictures,
            "looks": manifest.looks,
            "own_looks": manifest.own_looks,
            "covered": round(manifest.redaction.covered, 3),
            "seconds": round(manifest.last_s - manifest.first_s, 2),
        }
        return {**found, **told, **judged(node.evidence.store.path(pieces[0], CLIP), manifest.first_s)}


def _grey(path: Path) -> dict[float, NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            round(float(frame.pts * frame.time_base), 3): np.asarray(
                frame.to_ndarray(format="gray"), np.uint8
            )
            for frame in container.decode(stream)
            if frame.pts is not None and frame.time_base is not None
        }


def judged(path: Path, first_s: float) -> dict[str, Any]:
    """A clip beside the recording at the same times."""
    truth = {
        round(frame["pts_s"], 3): frame["people"]
        for frame in json.loads(clip().with_suffix(".json").read_text())["frames"]
    }
    recorded, exact, outside, heads = _grey(clip()), 0, [], []
    shown = _grey(path)
    for pts_s, picture in shown.items():
        at_s = round(first_s + pts_s, 3)
        real = recorded.get(at_s)
        if real is None:
            continue
        exact += 1
        apart = np.abs(picture.astype(np.int16) - real)
        outside.append(float(np.median(apart)))
        heads += [
            float(part.mean())
            for person in truth.get(at_s, ())
            if person["visible"] > 0.5 and (part := _head(apart, person["box"])) is not None
        ]
    return {
        "times_exact": exact == len(shown),
        "middle_differs": round(float(np.median(outside)), 2),
        "heads": len(heads),
        "heads_changed": round(float(np.mean(np.array(heads) > CHANGED)), 4) if heads else 1.0,
    }


def _head(apart: NDArray[np.int16], box: list[float]) -> NDArray[np.int16] | None:
    height, width = apart.shape
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    if bottom - top < SMALLEST_PX:
        return None
    a, b = left + HEAD[0] * (right - left), left + HEAD[2] * (right - left)
    c, d = top + HEAD[1] * (bottom - top), top + HEAD[3] * (bottom - top)
    part = apart[int(c) : max(int(c) + 1, int(d)), int(a) : max(int(a) + 1, int(b))]
    return part if part.size else None


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--cameras", type=int, default=26, help="how many (26: far too many for two cores)")
    arguments = parser.parse_args()
    clip()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(observed(Path(folder), arguments.cameras))
    show("Evidence under overload", ("what", "figure"), list(result.items()))
    save("evidence", {"cameras": arguments.cameras, **result})
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
