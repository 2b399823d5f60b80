"""Live view: how soon the first picture is there, how old pictures are, what viewers cost.

    python benchmarks/live.py           a table
    python benchmarks/live.py --json    `first_picture_s, glass_p95_ms, cpu_ratio_20_viewers`

A camera of 1280x720 at 25 pictures a second plays a drawn clip from a file at its own pace, is analysed as
always and watched over WHEP on loopback by a WebRTC client (aiortc). First pictures and processor time are
those of a node in a process of its own, `sharpeyes run`, from the POST to the first decoded picture, and per
second of time. How old a picture is, from the moment the camera had it until the client has decoded it, is
measured with node and client in one process, as that needs both ends of each packet. The client shows a
picture only when the next one begins to come in: of the age, a period of the stream (80 ms) is its own.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]
from aiortc import RTCPeerConnection, RTCSessionDescription
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))

from api.whep import PacketTrack, Viewer
from benchmarks.common import CACHE, save, show
from edge.config import Config
from edge.runtime import Node
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec

SPEC = SceneSpec("walk", "plaza", seed=5, size=(1280, 720), fps=25.0, seconds=60.0)
VIEWERS = 20
WHY = {"reason": "measuring the live view"}
WATCH = "/cameras/plaza/whep"


def clip() -> Path:
    """The camera's recording, drawn once."""
    path = CACHE / "live-walk-plaza-5.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with Progress() as progress:
            task = progress.add_task("drawing")
            part = path.with_suffix(".part.mp4")
            write_clip(
                SPEC,
                part,
                path.with_suffix(".json"),
                lambda k, n: progress.update(task, completed=k, total=n),
            )
        part.rename(path)
    return path


def config_of(folder: Path, port: int) -> dict[str, Any]:
    """A node with one camera and users."""
    return {
        "node": {"data_dir": str(folder / "data")},
        "http": {"port": port},
        "access": {"users": True},
        "evidence": {"enabled": False},
        "cameras": [
            {
                "id": "plaza",
                "source": str(clip()),
                "gate": "off",
                "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
                "rules": [{"kind": "hazard.intrusion", "zone": "all"}],
            }
        ],
    }


class Client:
    """A viewer."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection()
        self.tracks: asyncio.Queue[Any] = asyncio.Queue()
        self.connection.on("track", self.tracks.put_nowait)
        self.seen = 0
        self._eater: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        """What it asks for."""
        self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def take(self, answer: str) -> Any:
        """The track that shows the pictures."""
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return await self.tracks.get()

    async def watch(self, http: httpx.AsyncClient) -> float:
        """Watch; seconds from the POST to the first picture. What comes later is thrown away."""
        offer, began_s = await self.offer(), time.monotonic()
        answer = await http.post(
            WATCH, content=offer, params=WHY, headers={"Content-Type": "application/sdp"}
        )
        answer.raise_for_status()
        track = await self.take(answer.text)
        await track.recv()
        first_s = time.monotonic() - began_s
        self._eater = asyncio.create_task(self._eat(track))
        return first_s

    async def _eat(self, track: Any) -> None:
        with suppress(Exception):
            while True:
                await track.recv()
                self.seen += 1

    async def close(self) -> None:
        """Leave."""
        if self._eater is not None:
            self._eater.cancel()
        await self.connection.close()


@contextmanager
def running(folder: Path, port: int) -> Iterator[tuple[psutil.Process, str]]:
    """A node in a process of its own, and a token for it."""
    path = folder / "sharpeyes.yaml"
    path.write_text(json.dumps(config_of(folder, port)))  # JSON is YAML
    command = [str(Path(sys.executable).with_name("sharpeyes"))]
    made = subprocess.run(
        [*command, "users", "token", str(path), "bench", "--role", "operator"],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    token = next(word for word in made.stdout.split() if word.startswith("se_"))
    log = (folder / "log").open("w")
    node = subprocess.Popen([*command, "run", str(path)], stdout=log, stderr=log)
    try:
        yield psutil.Process(node.pid), token
    finally:
        node.terminate()
        node.wait(15)


async def ready(http: httpx.AsyncClient) -> None:
    """Wait until the node sees its camera."""
    for _ in range(300):
        with suppress(httpx.HTTPError):
            if (await http.get("/readyz")).status_code == 200:
                return
        await asyncio.sleep(0.2)
    raise TimeoutError("the node does not get ready; its log says why")


async def cpu_share(process: psutil.Process, seconds: float) -> float:
    """Processor seconds a second of a process and its children."""
    everybody = [process, *process.children(recursive=True)]
    before, began_s = [one.cpu_times() for one in everybody], time.monotonic()
    await asyncio.sleep(seconds)
    after = [one.cpu_times() for one in everybody]
    spent = sum(b.user + b.system - a.user - a.system for a, b in zip(before, after, strict=True))
    return float(spent / (time.monotonic() - began_s))


async def outside(folder: Path, quick: bool) -> dict[str, Any]:
    """First pictures and the cost of viewers, of a node in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seconds = 5.0 if quick else 15.0
    with running(folder, port) as (process, token):
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            await ready(http)
            await asyncio.sleep(5)
            idle = await cpu_share(process, seconds)
            first_s = []
            for _ in range(3 if quick else 8):
                one = Client()
                first_s.append(await one.watch(http))
                await one.close()
                await asyncio.sleep(0.7)
            async with AsyncExitStack() as stack:
                shares, viewers = [], []
                for number in range(VIEWERS):
                    one = Client()
                    viewers.append(one)
                    stack.push_async_callback(one.close)
                    await one.watch(http)
                    if number in (0, VIEWERS - 1):
                        await asyncio.sleep(2)
                        before = [viewer.seen for viewer in viewers]
                        shares.append(await cpu_share(process, seconds))
                slowest = min(v.seen - seen for v, seen in zip(viewers, before, strict=True))
    return {
        "first_picture_s": round(max(first_s), 3),
        "first_picture_median_s": round(statistics.median(first_s), 3),
        "cpu_unwatched": round(idle, 3),
        "cpu_1_viewer": round(shares[0], 3),
        "cpu_20_viewers": round(shares[1], 3),
        "slowest_viewer_fps": round(slowest / seconds, 2),
        "cpu_ratio_20_viewers": round(shares[1] / shares[0], 3),
    }


@asynccontextmanager
async def inside(folder: Path) -> AsyncIterator[Node]:
    """A node in this process."""
    config = Config.model_validate(config_of(folder, 0) | {"access": {}})
    async with Node.open(config) as node:
        for _ in range(300):
            if node.readiness().ready:
                break
            await asyncio.sleep(0.1)
        yield node


async def ages(folder: Path, quick: bool) -> dict[str, Any]:
    """How old pictures are when the client has decoded them."""
    sent: dict[int, float] = {}
    order: list[int] = []
    real = PacketTrack.put

    def noted(self: PacketTrack, packet: Any) -> None:
        sent[packet.payload.pts] = packet.seen_mono_s
        real(self, packet)

    recv = PacketTrack.recv

    async def told(self: PacketTrack) -> Any:
        payload = await recv(self)
        order.append(payload.pts)
        return payload

    PacketTrack.put, PacketTrack.recv = noted, told  # type: ignore[method-assign]
    try:
        async with inside(folder) as node:
            await asyncio.sleep(5)
            channel = node.live.channel("plaza")
            assert channel is not None  # noqa: S101 - it was configured
            client, viewer = Client(), Viewer(channel, node.config.live, lambda: None)
            track = await client.take(await viewer.answer(await client.offer()))
            got = []
            for _ in range(100 if quick else 375):
                frame = await track.recv()
                got.append((frame.pts, time.monotonic()))
            await client.close()
            await viewer.close()
    finally:
        PacketTrack.put, PacketTrack.recv = real, recv  # type: ignore[method-assign]
    offset = got[0][0] - order[0]
    known = [(pts - offset, seen_s) for pts, seen_s in got if pts - offset in sent]
    if len(known) < 0.95 * len(got):
        raise ValueError("pictures and packets do not match: some were lost on loopback")
    age_ms = 1000 * np.array([seen_s - sent[pts] for pts, seen_s in known[5:]])
    return {
        "glass_p50_ms": round(float(np.median(age_ms)), 1),
        "glass_p95_ms": round(float(np.percentile(age_ms, 95)), 1),
        "pictures": len(known),
    }


async def measured(quick: bool) -> dict[str, Any]:
    """All figures."""
    clip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        return {**await ages(folder / "a", quick), **await outside(folder / "b", quick)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="shorter, and rougher")
    arguments = parser.parse_args()
    result = asyncio.run(measured(arguments.quick))
    show("Live view", ("what", "figure"), list(result.items()))
    save("live-quick" if arguments.quick else "live", result)
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
