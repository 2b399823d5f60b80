"""A real RTSP camera for tests and benchmarks, clips made in code, and a sink that can be waited on."""

import functools
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from streams.errors import StreamEndedError
from streams.frame import Frame
from streams.packet import Packet, PacketSource
from streams.sim.serve import RtspServer, ServeError, find_python

PATIENCE_S = 20.0
SERVER_PYTHON = "/usr/bin/python3"


@functools.cache
def _python_or_reason() -> tuple[str | None, str]:
    try:
        return find_python(), ""
    except ServeError as error:
        return None, str(error)


def require_server() -> str:
    """The Python that runs the server; without one the test is skipped, or fails where it must not be."""
    python, reason = _python_or_reason()
    if python is None:
        refuse(reason)
    return python


def refuse(reason: str) -> None:
    """Skip, or fail where SHARPEYES_REQUIRE_RTSP=1 says that nothing may be skipped."""
    if os.environ.get("SHARPEYES_REQUIRE_RTSP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def camera(mounts: dict[str, Path], *arguments: str) -> Iterator[RtspServer]:
    """A camera that plays files in a loop on a free port of this host."""
    named = [word for name, path in mounts.items() for word in ("--mount", f"{name}={path}")]
    with RtspServer(["--port", "0", *named, *arguments], require_server()) as server:
        yield server


def write_clip(
    path: Path,
    *,
    levels: Sequence[int] = (40, 120, 200),
    codec: str = "libx264",
    size: tuple[int, int] = (160, 128),
    fps: int = 25,
    frames: int = 50,
    keyframe_interval: int = 10,
    b_frames: int = 0,
) -> Path:
    """Flat grey frames that step through `levels`, far enough apart to be told after encoding."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    if codec == "libx264":
        options = {"sc_threshold": "0", "bf": str(b_frames), "b_strategy": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = keyframe_interval
        for index in range(frames):
            level = levels[index * len(levels) // frames]
            picture = np.full((size[1], size[0], 3), level, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    certificate, key = folder / "camera.pem", folder / "camera.key"
    openssl = shutil.which("openssl")
    if openssl is None:
        refuse("making a certificate needs openssl")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def read_all(source: PacketSource) -> list[Packet]:
    """The packets of a source that ends of its own accord."""
    packets: list[Packet] = []
    with pytest.raises(StreamEndedError, match="ended"):
        packets.extend(source.packets())
    return packets


def rises(frames: Sequence[Frame]) -> bool:
    """Whether each frame is later than the one before."""
    return all(later.pts_s > earlier.pts_s for earlier, later in itertools.pairwise(frames))


class CollectingSink:
    """A frame sink that keeps what it gets, and lets a test wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.frames: list[Frame] = []
        self.gated = 0

    def offer(self, frame: Frame) -> None:
        with self._changed:
            self.frames.append(frame)
            self._changed.notify_all()

    def gate(self, camera_id: str) -> None:
        with self._changed:
            self.gated += 1
            self._changed.notify_all()

    def wait_for(
        self, condition: Callable[[list[Frame]], bool], timeout_s: float = PATIENCE_S
    ) -> list[Frame]:
        """The frames so far, once `condition` holds of them.

        Raises:
            AssertionError: it did not in time.
        """
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.frames), timeout_s), (
                f"{len(self.frames)} frames, {self.gated} gated: not what was waited for"
            )
            return list(self.frames)

    def wait_for_more(self, count: int = 5, timeout_s: float = PATIENCE_S) -> list[Frame]:
        """The frames so far, once `count` more have come than there are now."""
        goal = len(self.frames) + count
        return self.wait_for(lambda frames: len(frames) >= goal, timeout_s)
