"""The real job on real footage: visits, directions across a line, and silence where nothing happens.

    python benchmarks/footage.py ../shared/media             # one loop of the footage: 2.5 minutes
    python benchmarks/footage.py ../shared/media --loops 2 --json

GStreamer plays `plaza.avi` and `one-by-one-person-detection.mp4` in real time, in a loop, to `sharpeyes run`.
In the latter somebody comes to a desk and goes away six times: six incidents, no more and no fewer. In the
former people cross a hall: it is counted, and nothing may be told of, whatever rules watch it.
`car-detection.mp4` is analysed as a recording: two cars cross a line one way and two the other. It is filmed
from straight above, where the shipped detector takes cars for telephones; so the rule's classes name both.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, save, show
from benchmarks.live_node import cameras, delivered, free_port, running_node
from edge.config import CameraConfig, ModelConfig, NodeConfig
from edge.envelope import IncidentData
from edge.offline import Models, analyse
from models.zoo import load_detector
from streams.sim.serve import RtspServer

DESK = "one-by-one-person-detection.mp4"
PLAZA = "plaza.avi"
CARS = "car-detection.mp4"
LOOP_S = 139.4
"""Length of the desk's footage."""
VISITS = 6
WARM_UP_S = 5.0
"""Counts before this are of tracks that are still being confirmed."""

CONFIG = """
node: {{id: footage, district: "360103", data_dir: "{data}", heartbeat_s: 60}}
http: {{port: {http}}}
cameras:
  - id: desk
    source: rtsp://127.0.0.1:{port}/desk
    analysed_fps: 5
    zones:
      - {{id: desk, polygon: [[0.48, 0.80], [0.72, 0.80], [0.72, 1.0], [0.48, 1.0]]}}
    rules:
      - {{kind: hazard.intrusion, zone: desk, min_presence_s: 1, release_s: 3}}
  - id: plaza
    source: rtsp://127.0.0.1:{port}/plaza
    analysed_fps: 5
    zones:
      - {{id: hall, polygon: [[0, 0.2], [1, 0.2], [1, 1], [0, 1]], capacity: 40}}
    rules:
      - {{kind: crowd.density, zone: hall}}
      - {{kind: hazard.abandoned, zone: hall}}
      - {{kind: hazard.removed, zone: hall}}
      - {{kind: hazard.obstruction, zone: hall}}
      - {{kind: hazard.forbidden_object, zone: hall}}
"""
CROSSING = {
    "id": "cars",
    "analysed_fps": 10,
    "lines": [{"id": "middle", "points": [[0.0, 0.6], [1.0, 0.6]]}],
    "rules": [{"kind": "hazard.line", "line": "middle", "classes": ["car", "truck", "bus", "cell phone"]}],
}
CROSSINGS = {"right": 2, "left": 2}
"""Cars that truly go down the picture, to the line's right, and up."""


def config(folder: Path, rtsp_port: int) -> str:
    """The node's configuration."""
    return CONFIG.format(data=folder / "data", port=rtsp_port, http=free_port())


def measure(media: Path, loops: int) -> dict[str, Any]:
    """Play, watch, and count what arrived in Redis."""
    seconds = loops * LOOP_S
    mounts = ["--port", "0", "--mount", f"desk={media / DESK}", "--mount", f"plaza={media / PLAZA}"]
    people: list[int] = []
    with (
        tempfile.TemporaryDirectory() as name,
        RtspServer(mounts) as server,
        running_node(Path(name), config(Path(name), server.port)) as node,
        Progress(console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("playing the footage", total=seconds)
        started_s = time.monotonic()
        while (elapsed_s := time.monotonic() - started_s) < seconds:
            progress.update(task, completed=elapsed_s)
            seen = cameras(node.page)
            people += [zone["count"] for zone in seen["plaza"]["zones"]] if elapsed_s > WARM_UP_S else []
            time.sleep(0.5)
        last = cameras(node.page)
        events = delivered(Path(name) / "data")
    visits = [
        e
        for e in events
        if e["type"] == "org.sharpeyes.hazard.intrusion.v1" and e["data"]["phase"] == "begin"
    ]
    return {
        "loops": loops,
        "visits_expected": VISITS * loops,
        "visits_delivered": len(visits),
        "plaza_people_median": statistics.median(people),
        "plaza_people_p10": statistics.quantiles(people, n=10)[0],
        "plaza_people_p90": statistics.quantiles(people, n=10)[-1],
        "other_events": sum(e["data"].get("phase") == "begin" for e in events) - len(visits),
        "analysed_fps": {id_: round(camera["analysed_fps"], 2) for id_, camera in last.items()},
        "dropped_unseen": {
            id_: c["frames"]["superseded"] + c["frames"]["expired"] for id_, c in last.items()
        },
    }


def directions(media: Path) -> dict[str, int]:
    """How many cars crossed the line each way."""
    camera = CameraConfig.model_validate({**CROSSING, "source": str(media / CARS)})
    node, model = NodeConfig(id="footage", district="360103"), ModelConfig()
    found = dict.fromkeys(CROSSINGS, 0)
    for step in analyse(camera, node, model, Models(load_detector(model.detector))):
        for event in step.events:
            data = event.data
            if isinstance(data, IncidentData) and data.phase == "begin":
                for way in found:
                    found[way] += int(data.measures[f"crossings_{way}"])
    return found


def folder_of_footage(text: str) -> Path:
    """A folder that has both files.

    Raises:
        argparse.ArgumentTypeError: one of them is missing.
    """
    media = Path(text)
    missing = [name for name in (DESK, PLAZA, CARS) if not (media / name).is_file()]
    if missing:
        raise argparse.ArgumentTypeError(
            f"{media} has no {missing[0]}: it comes with Intel's sample-videos and OpenCV's sample data"
        )
    return media


def main() -> None:
    """Run it as a program."""
    media = {"type": folder_of_footage, "help": "folder with the footage"}
    loops = {"type": int, "default": 1, "help": "how often the desk's footage plays"}
    args = parsed(__doc__, ("media", media), ("--loops", loops), quick=None)
    crossed = directions(args.media)
    result = measure(args.media, args.loops)
    for way, count in CROSSINGS.items():
        result |= {f"cars_{way}_expected": count, f"cars_{way}": crossed[way]}
    show("Real footage over RTSP", ("what", "figure"), list(result.items()))
    save("footage", result)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
