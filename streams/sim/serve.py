"""Puts packets on the air as an RTSP camera, through GStreamer's server in a Python that has it."""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from streams.errors import StreamError
from streams.packet import Packet

RECORD = struct.Struct(">qII")
SCRIPT = Path(__file__).with_name("rtsp_server.py")
DEBIAN_PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-ugly gstreamer1.0-libav"
)
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_QUIT_WITHIN_S = 5.0


class ServeError(StreamError):
    """The RTSP server is not installed, or did not start."""


def find_python(candidates: Iterable[str] | None = None) -> str:
    """The first Python that can run GStreamer's RTSP server.

    Args:
        candidates: programs to ask; this Python and the system's unless given.

    Raises:
        ServeError: none can; the message says what to install.
    """
    for candidate in candidates if candidates is not None else (sys.executable, "/usr/bin/python3"):
        program = shutil.which(candidate)
        if program is None:
            continue
        probe = subprocess.run([program, "-c", _PROBE], capture_output=True, check=False)  # noqa: S603 - as told
        if probe.returncode == 0:
            return program
    raise ServeError(
        f"no Python here has GStreamer's RTSP server; on Debian or Ubuntu: apt-get install {DEBIAN_PACKAGES}"
    )


class RtspServer(AbstractContextManager["RtspServer"]):
    """A running `rtsp_server.py`; leaving the context ends it.

    Attributes:
        port: where it listens.

    Args:
        arguments: for the script.
        python: what runs it; found unless given.

    Raises:
        ServeError: it cannot run or did not start.
    """

    def __init__(self, arguments: Iterable[str], python: str | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [python or find_python(), str(SCRIPT), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for us; the script ends with its input
        )
        line = _pipe(self._process.stdout).readline()
        try:
            self.port = int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError):
            self.close()
            raise ServeError("the RTSP server did not start; its own message is above") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def command(self, do: str, **more: str) -> None:
        """Have it do something, and wait until it is done; see the script for what it can do.

        Raises:
            ServeError: it could not.
        """
        self.write(json.dumps({"do": do, **more}).encode() + b"\n")
        answer = json.loads(_pipe(self._process.stdout).readline() or b'{"error": "it ended"}')
        if "error" in answer:
            raise ServeError(f"{do}: {answer['error']}")

    def write(self, data: bytes) -> None:
        """Give it a command line, or a record of a live stream.

        Raises:
            ServeError: it has ended.
        """
        pipe = _pipe(self._process.stdin)
        try:
            pipe.write(data)
            pipe.flush()
        except OSError:
            raise ServeError("the RTSP server has ended") from None

    def close(self) -> None:
        """End it: politely by the end of its input, then not. Closing twice is fine."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # it went first, with something unwritten
                _pipe(pipe).close()
        try:
            self._process.wait(_QUIT_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(
    packets: Iterable[Packet],
    port: int,
    *,
    mount: str = "sim",
    address: str = "127.0.0.1",
    announce: Callable[[str], None] = lambda _url: None,
) -> None:
    """Be an RTSP camera for as long as there are packets.

    Args:
        packets: H.264 access units in Annex B format with parameter sets in-band, in presentation order, at
            the pace at which they shall be sent.
        port: to listen on; 0 takes a free one.
        mount: last part of the address.
        address: to bind to.
        announce: called once with the URL, when clients can connect.

    Raises:
        ServeError: GStreamer's RTSP server is missing, the port is taken, or the server ended.
    """
    with RtspServer(["--port", str(port), "--address", address, "--mount", f"{mount}=-"]) as server:
        announce(f"rtsp://{address}:{server.port}/{mount}")
        for packet in packets:
            data = bytes(packet.payload)
            server.write(RECORD.pack(round((packet.pts_s or 0.0) * 1e6), len(data), 0) + data)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ServeError("the RTSP server has no pipe")
    return stream
