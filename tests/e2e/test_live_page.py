"""Live view in a real browser: a screenshot shows moving, redacted video; nobody watches without a reason."""

import asyncio
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from api import serve as serving
from api.door import http_server
from api.node import create_app
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec
from tests.support.access import PASSWORD, WHY, House
from tests.support.api_node import FakeNode
from tests.support.browser import Page, browse, find_chromium
from tests.support.live import Player, hub

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SPEC = SceneSpec("walk", "plaza", seed=2, size=(640, 360), fps=12.5, seconds=6.0)


class Served:
    """A node with users and a camera that plays, behind its real HTTP server, in a thread of its own."""

    def __init__(self, house: House, player: Player) -> None:
        self.sock = serving.listen("127.0.0.1", 0)
        self.url = serving.url_of(self.sock)
        self._house, self._player = house, player
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(20)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.node = FakeNode()
        self.node.live = hub(self._player, overlays=[])
        self.server = http_server(create_app(self.node, ("localhost",), self._house.access))
        self._up.set()
        await self.server.serve(sockets=[self.sock])

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.node.board.close)
        self.server.should_exit = True
        self._thread.join(20)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip(SPEC, folder / "a.mp4", folder / "a.json")
    return folder / "a.mp4"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.user("wang", "operator")
    return made


@pytest.fixture
def served(house: House, clip: Path) -> Iterator[Served]:
    with Player(clip) as player:
        server = Served(house, player)
        yield server
        server.close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert CHROMIUM is not None
    with browse(CHROMIUM, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(served: Served, tab: Page) -> Iterator[Page]:
    tab.faults.clear()
    tab.open(f"{served.url}sign-in")
    tab.wait("document.getElementById('form')")
    login = {"name": "wang", "password": PASSWORD}
    assert tab.ask(
        "fetch('/login', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        f" body: JSON.stringify({login})}}).then((answer) => answer.status)"
    ) == 204  # fmt: skip
    tab.open(f"{served.url}live?camera=gate-2")
    tab.wait("document.querySelectorAll('#camera option').length === 2")
    yield tab
    tab.open("about:blank")


def frames(page: Page, number: int) -> list[np.ndarray]:
    """What the video shows, in grey, some tenths of a second apart."""
    shown = page.ask(
        "(async () => { const video = document.getElementById('video'), all = [];"
        " const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);"
        " const pen = canvas.getContext('2d');"
        f" while (all.length < {number}) {{"
        "  await new Promise((done) => video.requestVideoFrameCallback(done));"
        "  pen.drawImage(video, 0, 0);"
        "  const rgba = pen.getImageData(0, 0, canvas.width, canvas.height).data;"
        "  all.push(Array.from({length: rgba.length / 4}, (_, k) => rgba[4 * k + 1])); }"
        " return [canvas.width, canvas.height, all]; })()"
    )
    width, height, all_ = shown
    return [np.array(one, np.uint8).reshape(height, width) for one in all_]


def test_a_browser_shows_moving_redacted_video(
    page: Page, served: Served, house: House, clip: Path, tmp_path: Path
) -> None:
    page.ask(f"document.getElementById('why').value = {WHY!r}")
    page.ask("document.querySelector('#form button').click()")
    page.wait("document.getElementById('video').currentTime > 0.5", 30)
    shown = frames(page, 4)
    assert shown[0].shape == (360, 640)
    moved = [np.abs(a.astype(int) - b).max() for a, b in pairwise(shown)]
    assert max(moved) > 40
    page.look(tmp_path / "live.png", 1000, 900)
    screenshot = cv2.imread(str(tmp_path / "live.png"), cv2.IMREAD_GRAYSCALE)
    assert screenshot.std() > 20
    covered = _covered_share(shown[0], clip)
    assert 0.02 < covered < 0.9
    assert [act.what for act in house.acts()].count("video.live") == 1
    page.ask("document.getElementById('stop').click()")
    page.wait("document.getElementById('video').hidden")
    assert page.faults == []


def _covered_share(shown: np.ndarray, clip: Path) -> float:
    """Share of the picture that is like in no picture of the recording: what was replaced."""
    video, nearest = cv2.VideoCapture(str(clip)), np.full(shown.shape, 255, np.int16)
    while True:
        there, bgr = video.read()
        if not there:
            break
        green = bgr[:, :, 1].astype(np.int16)
        nearest = np.minimum(nearest, np.abs(green - shown.astype(np.int16)))
    return float((nearest > 30).mean())


def test_without_a_reason_nobody_watches(page: Page, served: Served, house: House) -> None:
    page.ask("document.querySelector('#form button').click()")
    assert page.ask("document.getElementById('video').hidden")
    assert not [act for act in house.acts() if act.what == "video.live"]
    refused = page.ask(
        "fetch('/cameras/gate-2/whep', {method: 'POST', headers: {'Content-Type': 'application/sdp'},"
        " body: 'v=0'})"
        ".then((answer) => answer.status)"
    )
    assert refused in (403, 422)


def test_where_webrtc_does_not_get_through_pictures_come_as_jpeg(page: Page, served: Served) -> None:
    page.ask("RTCPeerConnection.prototype.setRemoteDescription = () => Promise.reject(new Error('blocked'))")
    page.ask(f"document.getElementById('why').value = {WHY!r}")
    page.ask("document.querySelector('#form button').click()")
    page.wait("document.getElementById('jpeg').naturalWidth === 640", 30)
    page.ask("document.getElementById('stop').click()")
