"""Live view, seen by a real WebRTC client: moving, redacted, for who may, and for nobody any longer."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import httpx
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.live import Watching
from api.node import create_app
from api.whep import QUEUE, OfferError, PacketTrack, Viewer
from edge.live import LiveChannel, LiveHub, LivePacket
from edge.live_config import LiveConfig
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec
from tests.support.access import WHY, House, client
from tests.support.api_node import FakeNode
from tests.support.live import Player, hub
from tests.support.rtsp import PATIENCE_S

SPEC = SceneSpec("walk", "plaza", seed=2, size=(640, 360), fps=12.5, seconds=6.0)
REASON = {"reason": WHY}
WHEP = "/cameras/gate-2/whep"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip(SPEC, folder / "a.mp4", folder / "a.json")
    return folder / "a.mp4"


@pytest.fixture
def player(clip: Path) -> Iterator[Player]:
    with Player(clip) as playing:
        yield playing


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def node(player: Player) -> FakeNode:
    made = FakeNode()
    made.live = hub(player, max_viewers=3)
    return made


@pytest.fixture
async def app(node: FakeNode, house: House) -> AsyncIterator[FastAPI]:
    made = create_app(node, access=house.access)
    yield made
    await made.state.watching.close()


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as asking:
        yield asking


class Client:
    """A WebRTC client that asks for one video."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {token}"}
        self.connection = RTCPeerConnection()
        self.track = None
        self.connection.on("track", self._take)
        self.location = ""

    def _take(self, track: object) -> None:
        self.track = track

    async def offer(self) -> str:
        self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def watch(self) -> httpx.Response:
        answer = await self.http.post(
            WHEP,
            content=await self.offer(),
            params=REASON,
            headers={**self.headers, "Content-Type": "application/sdp"},
        )
        if answer.status_code == 201:
            self.location = answer.headers["location"]
            await self.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        return answer

    async def pictures(self, number: int) -> list[np.ndarray]:
        assert self.track is not None
        return [
            (await asyncio.wait_for(self.track.recv(), PATIENCE_S)).to_ndarray(format="gray")  # type: ignore[attr-defined]
            for _ in range(number)
        ]


@pytest.fixture
async def viewer(http: httpx.AsyncClient, house: House) -> AsyncIterator[Client]:
    made = Client(http, house.token("operator"))
    yield made
    await made.connection.close()


@pytest.mark.asyncio
async def test_a_client_sees_moving_pictures_and_leaves(viewer: Client, node: FakeNode, house: House) -> None:
    answer = await viewer.watch()
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/sdp"
    assert "H264" in answer.text
    assert "a=sendonly" in answer.text
    shown = await viewer.pictures(8)
    assert {picture.shape for picture in shown} == {(360, 640)}
    assert all(np.abs(a.astype(int) - b).mean() > 0.01 for a, b in pairwise(shown))
    act = house.acts()[-1]
    assert (act.what, act.object, act.why) == ("video.live", "gate-2", WHY)
    left = await viewer.http.delete(viewer.location, headers=viewer.headers)
    assert left.status_code == 204
    assert node.live.viewers == 0
    again = await viewer.http.delete(viewer.location, headers=viewer.headers)
    assert again.status_code == 404
    assert [act.what for act in house.acts()].count("video.live") == 1


@pytest.mark.asyncio
async def test_who_has_no_right_or_no_reason_sees_nothing(http: httpx.AsyncClient, house: House) -> None:
    headers = {"Content-Type": "application/sdp"}
    assert (await http.post(WHEP, content="v=0", params=REASON, headers=headers)).status_code == 401
    viewer = {**headers, "Authorization": f"Bearer {house.token('viewer')}"}
    assert (await http.post(WHEP, content="v=0", params=REASON, headers=viewer)).status_code == 403
    operator = {**headers, "Authorization": f"Bearer {house.token('operator', name='other')}"}
    assert (await http.post(WHEP, content="v=0", headers=operator)).status_code == 422
    elsewhere = WHEP.replace("gate-2", "gate-3")
    assert (await http.post(elsewhere, content="v=0", params=REASON, headers=operator)).status_code == 404


async def post(http: httpx.AsyncClient, house: House, body: bytes, kind: str = "application/sdp") -> int:
    token = house.token("operator", name=f"m{len(house.accounts.book().tokens)}")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    return (await http.post(WHEP, content=body, params=REASON, headers=headers)).status_code


VP8 = """v=0\r
o=- 0 0 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
m=video 9 UDP/TLS/RTP/SAVPF 96\r
c=IN IP4 0.0.0.0\r
a=mid:0\r
a=recvonly\r
a=rtcp-mux\r
a=ice-ufrag:abcd\r
a=ice-pwd:abcdabcdabcdabcdabcdabcd\r
a=fingerprint:sha-256 {}\r
a=setup:actpass\r
a=rtpmap:96 VP8/90000\r
""".format(":".join(["AA"] * 32))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"v=0",
        b"\xff\xfe",
        b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        b"m=audio 9 X 0\r\n" * 100,
        VP8.encode(),
        VP8.replace("VP8", "H264").replace("m=video", "m=audio").encode(),
        (VP8 + VP8[VP8.index("m=") :].replace("mid:0", "mid:1")).encode(),
        b"a=candidate:" + b"1 " * 9000,
    ],
)
@pytest.mark.asyncio
async def test_offers_that_are_none_are_refused_and_leave_nothing(
    http: httpx.AsyncClient, house: House, node: FakeNode, app: FastAPI, body: bytes
) -> None:
    assert await post(http, house, body) == 400
    assert node.live.viewers == 0
    assert app.state.watching.viewers == 0


@pytest.mark.asyncio
async def test_long_and_foreign_bodies_are_refused(http: httpx.AsyncClient, house: House) -> None:
    assert await post(http, house, b"v=0", "application/json") == 415
    assert await post(http, house, b"v=0\r\n" + bytes(40_000)) == 413


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    text=st.lists(
        st.sampled_from([*VP8.splitlines(), "a=sendrecv", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"])
        | st.text(max_size=40),
        max_size=30,
    )
)
@pytest.mark.asyncio
async def test_no_offer_breaks_the_node(viewing: Watching, channel: LiveChannel, text: list[str]) -> None:
    ended: list[int] = []
    viewer = Viewer(channel, LiveConfig(), lambda: ended.append(1))
    try:
        with suppress(OfferError):
            await viewer.answer("\r\n".join(text))
        with suppress(OfferError):
            await viewer.add_candidates("\n".join(text))
    finally:
        await viewer.close()
        await viewer.close()
    assert ended == [1]
    assert channel.counts.viewers == 0


@pytest.fixture
def viewing(app: FastAPI) -> Watching:
    watching: Watching = app.state.watching
    return watching


@pytest.fixture
def channel(node: FakeNode) -> LiveChannel:
    found = node.live.channel("gate-2")
    assert found is not None
    return found


@pytest.mark.asyncio
async def test_viewers_are_bounded(http: httpx.AsyncClient, house: House, node: FakeNode) -> None:
    viewers = [Client(http, house.token("operator", name=f"m{k}")) for k in range(4)]
    try:
        answers = [await viewer.watch() for viewer in viewers]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 503]
        assert answers[-1].headers["retry-after"] == "10"
        assert node.live.viewers == 3
        shown = [await viewer.pictures(2) for viewer in viewers[:3]]
        assert all(len(pictures) == 2 for pictures in shown)
        assert node.live.counts()["gate-2"].pictures > 0
    finally:
        for viewer in viewers:
            await viewer.connection.close()


@pytest.mark.asyncio
async def test_a_session_is_its_viewers_own(viewer: Client, house: House) -> None:
    assert (await viewer.watch()).status_code == 201
    other = {"Authorization": f"Bearer {house.token('admin', name='other')}"}
    kind = {"Content-Type": "application/trickle-ice-sdpfrag"}
    assert (await viewer.http.delete(viewer.location, headers=other)).status_code == 404
    fragment = "a=mid:0\r\na=candidate:1 1 UDP 2130706431 127.0.0.1 50000 typ host\r\n"
    patch = await viewer.http.patch(viewer.location, content=fragment, headers={**other, **kind})
    assert patch.status_code == 404
    patch = await viewer.http.patch(viewer.location, content=fragment, headers={**viewer.headers, **kind})
    assert patch.status_code == 204
    for bad in ("a=candidate:nonsense", "a=candidate:1 1 UDP 1 127.0.0.1 5 typ host\n" * 70):
        patch = await viewer.http.patch(viewer.location, content=bad, headers={**viewer.headers, **kind})
        assert patch.status_code == 400
    wrong = await viewer.http.patch(viewer.location, content=fragment, headers=viewer.headers)
    assert wrong.status_code == 415


@pytest.mark.asyncio
async def test_who_loses_the_right_sees_no_more(
    viewer: Client, house: House, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.CHECK_S", 0.01)
    assert (await viewer.watch()).status_code == 201
    await viewer.pictures(1)
    house.accounts.change(lambda book: book.without("machine"))
    async with asyncio.timeout(PATIENCE_S):
        while node.live.viewers:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_moving_jpeg_shows_the_newest_picture_and_ends_with_the_node(
    viewing: Watching, channel: LiveChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.access_of", lambda _: SimpleNamespace(still=lambda *_: True))
    shown = viewing.jpegs(channel, None, None)  # type: ignore[arg-type]
    parts = [await anext(shown) for _ in range(3)]
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        assert head.startswith(b"--picture\r\nContent-Type: image/jpeg")
        picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (360, 640, 3)
    assert viewing.viewers == 1
    await viewing.close()
    assert [part async for part in shown][1:] == []
    assert viewing.viewers == 0


@pytest.mark.asyncio
async def test_a_slow_viewer_loses_up_to_the_next_keyframe_and_asks_for_one() -> None:
    asked: list[int] = []
    track = PacketTrack(lambda: asked.append(1))

    def packet(number: int, *, keyframe: bool = False) -> LivePacket:
        return LivePacket(number, keyframe, 0.0, None)  # type: ignore[arg-type]

    track.put(packet(0))
    assert track.lost == 1
    track.put(packet(1, keyframe=True))
    for number in range(2, QUEUE + 1):
        track.put(packet(number))
    assert asked == []
    track.put(packet(QUEUE + 1))
    assert asked == [1]
    assert track.lost == QUEUE + 2
    track.put(packet(99, keyframe=True))
    assert await track.recv() == 99
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


def test_without_viewers_nothing_runs_and_what_cannot_be_redacted_is_not_shown(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    withheld: list[str] = []
    with Player(clip) as player:
        live = LiveHub({"a": player.camera}, {}, LiveConfig(), withheld.append, time.thread_time)
        channel = live.channel("a")
        assert channel is not None
        assert not player.camera.ring.followed
        came = threading.Event()
        leave = channel.watch(lambda _: came.set())
        assert came.wait(PATIENCE_S)
        leave()
        leave()
        assert channel.counts.viewers == 0
        monkeypatch.setattr("edge.redactor.plan", lambda *_: 1 / 0)
        shown: list[LivePacket] = []
        failed = threading.Event()
        monkeypatch.setattr(channel, "_withheld", lambda: (withheld.append("a"), failed.set()))
        leave = channel.watch(shown.append)
        assert failed.wait(PATIENCE_S)
        shown.clear()
        failed.clear()
        assert failed.wait(PATIENCE_S)
        assert shown == []
        leave()
        assert channel.counts.left_out["redaction"] == len(withheld)
    assert live.channel("b") is None
    assert (
        LiveHub({"a": player.camera}, {}, LiveConfig(enabled=False), withheld.append, float).channel("a")
        is None
    )
