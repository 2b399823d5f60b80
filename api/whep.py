"""One viewer's WebRTC connection: packets of a shared encoder in, RTP out. The only door to `aiortc`."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp

from edge.live import LiveChannel, LivePacket
from edge.live_config import LiveConfig

log = structlog.get_logger(__name__)

QUEUE = 25
"""Packets that wait for one viewer: 2 s. One who is slower loses all up to the next keyframe."""
CONNECT_S = 15.0
"""A connection that is not up by then is closed."""
MAX_CANDIDATES = 64
H264 = "video/h264"


class OfferError(Exception):
    """An offer is not understood, or asks for something else than video in H.264."""


class PacketTrack(MediaStreamTrack):
    """Gives a connection the packets of a channel, beginning with a keyframe.

    Attributes:
        lost: packets that this viewer was too slow for.

    Args:
        want_keyframe: asks the encoder for one.
    """

    kind = "video"

    def __init__(self, want_keyframe: Callable[[], None]) -> None:
        super().__init__()
        self.lost = 0
        self._want_keyframe = want_keyframe
        self._packets: deque[LivePacket] = deque()
        self._news = asyncio.Event()
        self._broken = True

    def put(self, packet: LivePacket) -> None:
        """Hand over a packet; on the loop's thread."""
        if packet.keyframe:
            self._packets.clear()
            self._broken = False
        if len(self._packets) >= QUEUE:
            self.lost += len(self._packets)
            self._packets.clear()
            self._broken = True
            self._want_keyframe()
        if self._broken:
            self.lost += 1
            return
        self._packets.append(packet)
        self._news.set()

    async def recv(self) -> Any:
        """The next packet.

        Raises:
            MediaStreamError: the track has ended.
        """
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._news.clear()
            await self._news.wait()
        return self._packets.popleft().payload

    def stop(self) -> None:
        """End; whoever waits is told."""
        super().stop()
        self._news.set()


class Viewer:
    """One viewer of one camera. For the loop's thread.

    Args:
        channel: what is watched.
        config: ICE servers.
        ended: called once when it is over, for whatever reason.
    """

    def __init__(self, channel: LiveChannel, config: LiveConfig, ended: Callable[[], None]) -> None:
        servers = [
            RTCIceServer(
                urls=[one.url],
                username=one.username or None,
                credential=one.credential.get_secret_value() if one.credential else None,
            )
            for one in config.ice_servers
        ]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._channel = channel
        self._track = PacketTrack(channel.want_keyframe)
        self._ended = ended
        self._leave: Callable[[], None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._candidates = 0
        self._connection.on("connectionstatechange", self._changed)
        self._deadline = asyncio.get_running_loop().call_later(CONNECT_S, self._too_late)

    @property
    def lost(self) -> int:
        """Packets that it was too slow for."""
        return self._track.lost

    async def answer(self, offer: str) -> str:
        """The SDP answer to an offer; from then on it watches.

        Raises:
            OfferError: the offer is none, or has no video in H.264 to receive.
        """
        video = self._connection.addTransceiver(self._track, "sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([one for one in codecs if one.mimeType.lower() == H264])
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as exc:  # noqa: BLE001 - an offer can break a parser in any way
            raise OfferError(f"the offer is not understood: {type(exc).__name__}") from None
        if self._connection.getTransceivers() != [video] or video.currentDirection != "sendonly":
            raise OfferError("offer one video to receive, in H.264, and nothing else")
        # What aiortc does with a lost picture is for frames that it encodes itself.
        video.sender._send_keyframe = self._channel.want_keyframe  # type: ignore[method-assign]
        loop = asyncio.get_running_loop()
        self._leave = self._channel.watch(lambda packet: _handed(loop, self._track, packet))
        local: str = self._connection.localDescription.sdp
        return local

    async def add_candidates(self, fragment: str) -> None:
        """More of the viewer's addresses (trickle ICE, RFC 8840).

        Raises:
            OfferError: they are none, or too many.
        """
        mid, index = None, 0
        for line in fragment.splitlines():
            name, _, value = line.strip().partition(":")
            if name == "a=mid":
                mid = value
            elif name == "a=candidate":
                self._candidates += 1
                if self._candidates > MAX_CANDIDATES:
                    raise OfferError("too many candidates")
                try:
                    candidate = candidate_from_sdp(value)
                    candidate.sdpMid, candidate.sdpMLineIndex = mid, index
                    await self._connection.addIceCandidate(candidate)
                except Exception as exc:  # noqa: BLE001 - as in `answer`
                    raise OfferError(f"a candidate is not understood: {type(exc).__name__}") from None

    def _changed(self) -> Awaitable[None] | None:
        state = self._connection.connectionState
        if state == "connected":
            self._deadline.cancel()
            self._channel.want_keyframe()
        elif state in ("failed", "closed"):
            return self.close()
        return None

    def _too_late(self) -> None:
        self._closing = asyncio.ensure_future(self.close())

    async def close(self) -> None:
        """End it; harmless when repeated."""
        self._deadline.cancel()
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
        ended, self._ended = self._ended, _nothing
        ended()
        self._track.stop()
        await self._connection.close()


def _nothing() -> None:
    """What is left to tell."""


def _handed(loop: asyncio.AbstractEventLoop, track: PacketTrack, packet: LivePacket) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(track.put, packet)
