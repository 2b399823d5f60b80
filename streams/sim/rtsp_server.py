#!/usr/bin/env python3
"""A scriptable RTSP camera, for tests, demonstrations and the simulator.

It runs under a Python that has PyGObject (Debian: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0
gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-libav), which need
not be the one that the product runs under; so it imports the standard library and `gi` only.

Files play in an endless loop, in real time; H.264, H.265 and JPEG pass through, all else becomes H.264. All
of a file's encoded pictures are kept in memory, and go on from loop to loop with rising time stamps: the
client cannot tell that it is a loop.

    rtsp_server.py --port 8554 --mount plaza=plaza.avi --mount desk=desk.mp4

It prints one JSON line `{"ready": true, "port": 8554}`. Then each line on standard input is a command:
    {"do": "drop"}                                     disconnect everybody and refuse connections
    {"do": "restore"}                                  accept connections again
    {"do": "stall"}  {"do": "resume"}                  stop sending without closing; go on
    {"do": "switch", "mount": "plaza", "path": "..."}  play another file (disconnects if the codec changes)
Each is answered by a JSON line `{"done": "drop"}` or `{"error": "..."}`. It ends with its standard input.

`--mount live=-` plays what comes in on standard input instead of commands: records of a 16-byte header
(signed 64-bit microseconds, unsigned 32-bit size, 32 bits unused; big-endian) and an H.264 access unit
in Annex B format.
"""

import argparse
import contextlib
import itertools
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402 - versions first

RECORD = struct.Struct(">qII")
# The parsers repeat the parameter sets before each keyframe. The payloaders would do so before each of its
# slices, and then a receiver takes every slice for a picture of its own.
PAYLOADERS = {
    "video/x-h264": "h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96",
    "video/x-h265": "h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96",
    "image/jpeg": "jpegparse ! rtpjpegpay name=pay0 pt=26",
}
PASSED_THROUGH = {
    "video/x-h264": "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au",
    "video/x-h265": "h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au",
    "image/jpeg": "jpegparse ! image/jpeg",
}
ENCODED = (
    "videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=veryfast key-int-max=50 "
    "pass=qual quantizer=21 ! " + PASSED_THROUGH["video/x-h264"]
)
LOAD_TIMEOUT_S = 120


def _name(caps: Any) -> str:
    return str(caps.get_structure(0).get_name())


def _now(element: Any) -> int | None:
    """The time of a running pipeline in ns; None before it runs: it gets its clock first, then its zero."""
    clock, zero = element.get_clock(), element.get_base_time()
    return clock.get_time() - zero if clock and zero else None


class Clip:
    """A file's encoded pictures in decoding order, as (decoding time, presentation time, bytes), in ns."""

    def __init__(self, path: str) -> None:
        self._load(path, PASSED_THROUGH)
        if self._untimed:  # AVI knows the decoding order only
            self._load(path, {})
        self._normalise()

    def _load(self, path: str, passed_through: dict[str, str]) -> None:
        self.caps: Any = None
        self.pictures: list[tuple[int, int, bytes]] = []
        self._untimed = False
        pipeline = Gst.Pipeline()
        source, demux = Gst.ElementFactory.make("filesrc"), Gst.ElementFactory.make("decodebin")
        source.set_property("location", str(path))
        if passed_through:
            demux.set_property("caps", Gst.Caps.from_string(";".join([*passed_through, "video/x-raw"])))
            demux.set_property("expose-all-streams", False)
        pipeline.add(source)
        pipeline.add(demux)
        source.link(demux)
        demux.connect("pad-added", self._on_pad, pipeline, passed_through)
        pipeline.set_state(Gst.State.PLAYING)
        message = pipeline.get_bus().timed_pop_filtered(
            LOAD_TIMEOUT_S * Gst.SECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS
        )
        pipeline.set_state(Gst.State.NULL)
        if message is None or message.type == Gst.MessageType.ERROR or not self.pictures:
            raise ValueError(f"{path}: no video that can be played")

    def _on_pad(self, _demux: Any, pad: Any, pipeline: Any, passed_through: dict[str, str]) -> None:
        kind = _name(pad.get_current_caps())
        if kind.startswith("audio") or self.caps is not None:
            return
        self.caps = pad.get_current_caps()
        tail = passed_through.get(kind, ENCODED)
        chain = Gst.parse_bin_from_description(
            f"queue ! {tail} ! appsink name=sink sync=false emit-signals=true", True
        )
        chain.get_by_name("sink").connect("new-sample", self._on_sample)
        pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def _on_sample(self, sink: Any) -> Any:
        sample = sink.emit("pull-sample")
        buffer = sample.get_buffer()
        self.caps = sample.get_caps()
        missing = Gst.CLOCK_TIME_NONE
        self._untimed |= buffer.pts == missing
        pts = buffer.pts if buffer.pts != missing else buffer.dts
        dts = buffer.dts if buffer.dts != missing else pts
        if pts != missing:
            self.pictures.append((dts, pts, buffer.extract_dup(0, buffer.get_size())))
        return Gst.FlowReturn.OK

    def _normalise(self) -> None:
        """Start at 0, and know the length: of a loop, the last picture lasts as long as most do."""
        start = min(dts for dts, _, _ in self.pictures)
        self.pictures = [(dts - start, pts - start, data) for dts, pts, data in self.pictures]
        times = sorted(pts for _, pts, _ in self.pictures)
        steps = sorted(later - earlier for earlier, later in itertools.pairwise(times))
        step = steps[len(steps) // 2] if steps else Gst.SECOND // 25
        self.length = times[-1] - times[0] + step
        self.kind = _name(self.caps)


class Mount:
    """One stream: whoever looks gets the same pictures at the same time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = "video/x-h264"
        self._caps = Gst.Caps.from_string("video/x-h264,stream-format=byte-stream,alignment=au")
        self._lock = threading.Lock()
        self._feeds: list[dict[str, Any]] = []
        self.watched = threading.Event()  # somebody looks again, after nobody did

    def factory(self) -> Any:
        """A factory whose media all clients share."""
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            f"( appsrc name=src is-live=true format=time max-bytes=8000000 ! {PAYLOADERS[self.kind]} )"
        )
        factory.set_shared(True)
        factory.set_latency(0)
        factory.connect("media-configure", self._on_media)
        return factory

    def _on_media(self, _factory: Any, media: Any) -> None:
        source = media.get_element().get_child_by_name("src")
        source.set_property("caps", self._caps)
        with self._lock:
            if not self._feeds:
                self.watched.set()
            self._feeds.append({"source": source, "offset": None})
        media.connect("unprepared", self._on_gone, source)

    def _on_gone(self, _media: Any, source: Any) -> None:
        with self._lock:
            self._feeds = [feed for feed in self._feeds if feed["source"] is not source]

    def describe(self, caps: Any) -> None:
        """The pictures that follow are of this kind."""
        with self._lock:
            self._caps, self.kind = caps, _name(caps)
            for feed in self._feeds:
                feed["source"].set_property("caps", caps)

    def await_start(self) -> None:
        """Wait until the newest media runs; pictures sent before, the first keyframe, would be lost."""
        for _ in range(500):
            with self._lock:
                if all(_now(feed["source"]) is not None for feed in self._feeds):
                    return
            time.sleep(0.01)

    def send(self, dts: int, pts: int, data: bytes) -> None:
        """Give a picture to everybody; times in ns on this mount's own clock."""
        with self._lock:
            feeds = list(self._feeds)
        for feed in feeds:
            now = _now(feed["source"])
            if now is None:
                continue
            if feed["offset"] is None or abs(now - dts - feed["offset"]) > Gst.SECOND:
                feed["offset"] = now - dts
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts = max(0, pts + feed["offset"])
            buffer.dts = max(0, dts + feed["offset"])
            feed["source"].emit("push-buffer", buffer)


class Player(threading.Thread):
    """Plays a clip into a mount for ever, from its beginning whenever somebody looks after nobody did."""

    def __init__(self, mount: Mount, clip: Clip, stalled: threading.Event) -> None:
        super().__init__(daemon=True)
        self.mount, self.clip = mount, clip
        self.next_clip: Clip | None = None
        self._stalled = stalled
        mount.describe(clip.caps)

    def run(self) -> None:
        """Play until the program ends."""
        sent = 0  # on the mount's own clock, where the clip begins this time
        self.mount.watched.wait()
        while True:
            if self.next_clip is not None:
                self.clip, self.next_clip = self.next_clip, None
                self.mount.describe(self.clip.caps)
            self.mount.watched.clear()
            self.mount.await_start()
            sent += self._play_once(sent, time.monotonic_ns())

    def _play_once(self, sent: int, start: int) -> int:
        """Play the clip from `sent` on the mount's clock; returns how long it went, in ns."""
        for dts, pts, data in self.clip.pictures:
            time.sleep(max(0, start + dts - time.monotonic_ns()) / 1e9)
            if self.next_clip is not None or self.mount.watched.is_set():
                return time.monotonic_ns() - start
            if not self._stalled.is_set():
                self.mount.send(sent + dts, sent + pts, data)
        time.sleep(max(0, start + self.clip.length - time.monotonic_ns()) / 1e9)
        return self.clip.length


class Camera:
    """The server and what can be done to it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.loop = GLib.MainLoop()
        self.stalled = threading.Event()
        self.players: dict[str, Player] = {}
        self.server = GstRtspServer.RTSPServer(address=options.address, service=str(options.port))
        self._protect(options)
        self._attached = self.server.attach(None)
        if not self._attached:
            raise SystemExit(f"cannot listen on {options.address}:{options.port}")
        self.port = self.server.get_bound_port()
        self.server.set_service(str(self.port))

    def _protect(self, options: argparse.Namespace) -> None:
        if not (options.user or options.tls_cert):
            return
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if options.user and options.digest:
            auth.set_supported_methods(2)  # GstRtspAuthMethod: digest
            auth.add_digest(options.user, options.password, token)
        elif options.user:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
        else:
            auth.set_default_token(token)
        if options.tls_cert:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(options.tls_cert, options.tls_key))
        self.server.set_auth(auth)

    def publish(self, mount: Mount) -> None:
        """Make a mount reachable as it is now."""
        factory = mount.factory()
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("viewer", right, True)
        factory.set_permissions(permissions)
        self.server.get_mount_points().add_factory(f"/{mount.name}", factory)

    def play(self, name: str, path: str) -> None:
        """Publish a file under a name."""
        mount = Mount(name)
        self.players[name] = Player(mount, Clip(path), self.stalled)
        self.publish(mount)
        self.players[name].start()

    def _disconnect(self) -> None:
        remove = GstRtspServer.RTSPFilterResult.REMOVE
        self.server.get_session_pool().filter(lambda _pool, _session: remove)
        self.server.client_filter(lambda _server, _client: remove)

    def do(self, command: dict[str, str]) -> str:
        """Carry out one command."""
        what = command["do"]
        if what == "drop" and self._attached:
            GLib.source_remove(self._attached)
            self._attached = 0
            self._disconnect()
        elif what == "restore" and not self._attached:
            self._attached = self.server.attach(None)
            if not self._attached:
                raise ValueError(f"port {self.port} is taken")
        elif what == "stall":
            self.stalled.set()
        elif what == "resume":
            self.stalled.clear()
        elif what == "switch":
            self._switch(command["mount"], Clip(command["path"]))
        else:
            raise ValueError(f"cannot do {what!r} now")
        return what

    def _switch(self, name: str, clip: Clip) -> None:
        player = self.players[name]
        player.next_clip = clip
        if clip.kind != player.clip.kind:
            player.mount.describe(clip.caps)
            self.publish(player.mount)
            self._disconnect()

    def obey(self) -> None:
        """Carry out commands from standard input until it ends. For a thread of its own."""
        for line in sys.stdin:
            done = threading.Event()
            GLib.idle_add(self._answer, line, done)
            done.wait()
        GLib.idle_add(self.loop.quit)

    def _answer(self, line: str, done: threading.Event) -> Any:
        try:
            say({"done": self.do(json.loads(line))})
        except (ValueError, KeyError, TypeError, GLib.Error) as error:
            say({"error": f"{type(error).__name__}: {error}"})
        done.set()
        return GLib.SOURCE_REMOVE

    def relay(self, mount: Mount) -> None:
        """Play what comes in on standard input until it ends. For a thread of its own."""
        pipe = sys.stdin.buffer
        while len(header := pipe.read(RECORD.size)) == RECORD.size:
            micros, size, _ = RECORD.unpack(header)
            data = pipe.read(size)
            if len(data) < size:
                break
            mount.send(micros * 1000, micros * 1000, data)
        GLib.idle_add(self.loop.quit)


def say(message: dict[str, Any]) -> None:
    """Print one JSON line at once."""
    print(json.dumps(message), flush=True)  # noqa: T201 - this script talks through its standard output


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--port", type=int, default=8554, help="0 takes a free one")
    parser.add_argument("--address", default="127.0.0.1", help="address to bind to")
    parser.add_argument("--mount", action="append", required=True, metavar="NAME=PATH", help="repeatable")
    parser.add_argument("--user", help="ask for this user and the password in RTSP_PASSWORD")
    parser.add_argument("--password", default=os.environ.get("RTSP_PASSWORD", ""), help="or give it here")
    parser.add_argument("--digest", action="store_true", help="digest instead of basic authentication")
    parser.add_argument("--tls-cert", help="PEM; serves rtsps://")
    parser.add_argument("--tls-key", help="PEM")
    options = parser.parse_args(arguments)
    options.mounts = [mount.partition("=")[::2] for mount in options.mount]
    for name, path in options.mounts:
        if not name or (path != "-" and not Path(path).is_file()):
            parser.error(f"--mount {name}={path}: need NAME=PATH of a file, or NAME=-")
    if len(options.mounts) > 1 and "-" in {path for _, path in options.mounts}:
        parser.error("--mount NAME=- stands alone")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told otherwise."""
    options = parse(arguments)
    Gst.init(None)
    camera = Camera(options)
    if options.mounts[0][1] == "-":
        mount = Mount(options.mounts[0][0])
        camera.publish(mount)
        worker = threading.Thread(target=camera.relay, args=(mount,), daemon=True)
    else:
        for name, path in options.mounts:
            camera.play(name, path)
        worker = threading.Thread(target=camera.obey, daemon=True)
    say({"ready": True, "port": camera.port})
    worker.start()
    with contextlib.suppress(KeyboardInterrupt):
        camera.loop.run()


if __name__ == "__main__":
    main()
