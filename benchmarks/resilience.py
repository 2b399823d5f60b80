"""Four cameras on a real RTSP server: an outage of 20 s, and whether queues or memory grow.

    python benchmarks/resilience.py              # two minutes
    python benchmarks/resilience.py --minutes 10 --json

`sharpeyes run` reads four simulated 1080p25 cameras from GStreamer's RTSP server. All are dropped and
refused for 20 s, then come back; the time from the server's return to each camera's next analysed picture is
taken. Before and after, memory and waiting frames are read twice a second.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import scenes
from benchmarks.common import parsed, save, show
from benchmarks.live_node import LiveNode, cameras, free_port, running_node
from streams.sim.serve import RtspServer
from streams.sim.spec import SceneSpec

CAMERAS = 4
OUTAGE_S = 20.0
PERIOD_S = 0.5
WARM_UP_S = 10.0


def config(folder: Path, rtsp_port: int) -> str:
    """Four cameras, each with a zone to keep clear."""
    zone = {"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    return yaml.safe_dump(
        {
            "node": {"id": "resilience", "district": "360103", "data_dir": str(folder / "data")},
            "http": {"port": free_port()},
            "cameras": [
                {
                    "id": f"camera-{k}",
                    "source": f"rtsp://127.0.0.1:{rtsp_port}/camera-{k}",
                    "zones": [zone],
                    "rules": [{"kind": "hazard.intrusion", "zone": "all"}],
                }
                for k in range(CAMERAS)
            ],
        }
    )


class Watch:
    """Readings of a running node."""

    def __init__(self, node: LiveNode, progress: Progress) -> None:
        self.memory_mb: list[float] = []
        self.waiting: list[int] = []
        self.analysed_fps: list[float] = []
        self._node = node
        self._progress = progress

    def read_for(self, seconds: float, what: str) -> None:
        """Take a reading twice a second."""
        task = self._progress.add_task(what, total=seconds)
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            seen = cameras(self._node.page).values()
            self.memory_mb.append(self._node.memory_mb())
            self.waiting.append(max((camera["frames"]["waiting"] for camera in seen), default=0))
            self.analysed_fps.append(sum(camera["analysed_fps"] for camera in seen))
            self._progress.update(task, completed=seconds - left_s)
            time.sleep(min(PERIOD_S, left_s))
        self._progress.update(task, completed=seconds)


def back_after(node: LiveNode) -> list[float]:
    """Seconds from now until each camera has analysed a picture that is new."""
    started_s = time.monotonic()
    before = {id_: camera["frames"]["delivered"] for id_, camera in cameras(node.page).items()}
    back: dict[str, float] = {}
    while len(back) < CAMERAS and time.monotonic() - started_s < 60:
        for id_, camera in cameras(node.page).items():
            if camera["frames"]["delivered"] > before[id_]:
                back.setdefault(id_, time.monotonic() - started_s)
        time.sleep(0.05)
    return [*back.values(), *[float("inf")] * (CAMERAS - len(back))]


def measure(seconds: float) -> dict[str, Any]:
    """Half of the time before the outage, half after it."""
    clips = [scenes.clip(SceneSpec("walk", "plaza", 20 + k, (1920, 1080), 25.0, 20.0)) for k in range(2)]
    mounts = [f"--mount=camera-{k}={clips[k % 2].path}" for k in range(CAMERAS)]
    with (
        tempfile.TemporaryDirectory() as name,
        RtspServer(["--port", "0", *mounts]) as server,
        running_node(Path(name), config(Path(name), server.port)) as node,
        Progress(console=Console(stderr=True)) as progress,
    ):
        watch = Watch(node, progress)
        watch.read_for(WARM_UP_S, "warming up")
        watch = Watch(node, progress)
        watch.read_for(seconds / 2, "four cameras")
        first = len(watch.memory_mb)
        server.command("drop")
        Watch(node, progress).read_for(OUTAGE_S, "outage")
        server.command("restore")
        back_s = back_after(node)
        watch.read_for(seconds / 2, "four cameras again")
        frames = [camera["frames"] for camera in cameras(node.page).values()]
    return {
        "cameras": CAMERAS,
        "outage_s": OUTAGE_S,
        "back_s_worst": round(max(back_s), 2),
        "analysed_fps": round(statistics.median(watch.analysed_fps), 1),
        "waiting_frames_worst": max(watch.waiting),
        "memory_mb_before": round(statistics.median(watch.memory_mb[:first]), 1),
        "memory_mb_after": round(statistics.median(watch.memory_mb[first:]), 1),
        "superseded": sum(frame["superseded"] for frame in frames),
        "expired": sum(frame["expired"] for frame in frames),
        "delivered": sum(frame["delivered"] for frame in frames),
    }


def main() -> None:
    """Run it as a program."""
    minutes = {"type": float, "default": 1.5, "help": "how long to watch, outage not counted"}
    args = parsed(__doc__, ("--minutes", minutes), quick=None)
    result = measure(args.minutes * 60)
    show("Four cameras and an outage", ("what", "figure"), list(result.items()))
    save("resilience", result)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
