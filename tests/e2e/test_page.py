"""The status page in a real browser, where there is one."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api import serve as serving
from api.door import http_server
from api.node import create_app
from edge.events import Event
from tests.support.api_node import CAMERA, STATUS, FakeNode, make_events
from tests.support.browser import Page, browse, find_chromium

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class Served:
    """A node behind its real HTTP server, in a thread of its own."""

    def __init__(self) -> None:
        self.sock = serving.listen("127.0.0.1", 0)
        self.url = serving.url_of(self.sock)
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(20)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.node = FakeNode()
        self.server = http_server(create_app(self.node, ("localhost",)))
        self._up.set()
        await self.server.serve(sockets=[self.sock])

    def do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something in the server's loop."""
        asyncio.run_coroutine_threadsafe(work(), self.loop).result(20)

    def show(self, *events: Event) -> None:
        self.do(lambda: self.node.show(events))

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.node.board.close)
        self.server.should_exit = True
        self._thread.join(20)


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
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
    tab.open(served.url)
    tab.wait("document.querySelectorAll('.card').length === 2")
    yield tab
    tab.open("about:blank")


def text(page: Page, selector: str) -> str:
    return str(page.ask(f"document.querySelector({selector!r}).textContent"))


def test_it_shows_the_node_and_refreshes_itself(page: Page, served: Served) -> None:
    assert text(page, "#node-id") == "xihu-07"
    assert "redis://10.0.0.5:6379/0" in text(page, "#node")
    card = text(page, ".card")
    for part in ("4.9 analysed", "25 received", "Crowd density · plaza", "4.3", "200 by rate"):
        assert part in card
    assert "no route" in text(page, ".card:nth-child(2)")
    served.node.state = replace(STATUS, cameras=(replace(CAMERA, analysed_fps=3.5),))
    page.wait("document.querySelector('.card').textContent.includes('3.5 analysed')")
    assert page.faults == []


def test_events_arrive_by_themselves_newest_first(page: Page, served: Served) -> None:
    page.wait("document.getElementById('link').dataset.state === 'live'")
    assert page.ask("document.getElementById('no-events').hidden") is False
    served.show(*make_events(2))
    page.wait("document.querySelectorAll('#events tr').length === 2")
    served.show(*make_events(1, first=3))
    page.wait("document.querySelectorAll('#events tr').length === 3")
    assert "Heartbeat" in text(page, "#events tr")
    served.show(*make_events(1, first=9))
    page.wait("document.querySelectorAll('#events tr').length === 5")
    assert "5 events were not shown" in text(page, "#events tr:nth-child(2)")


def test_both_languages(page: Page) -> None:
    page.ask("document.getElementById('language').click()")
    assert text(page, "#cameras-title") == "摄像机"
    assert page.ask("document.documentElement.lang") == "zh-CN"
    assert "人群密度 · plaza" in text(page, ".card")
    page.ask("document.getElementById('language').click()")
    assert text(page, "#cameras-title") == "Cameras"


def test_names_are_text_and_never_markup(page: Page) -> None:
    assert text(page, ".card h3") == "North gate <b>北门</b>"
    assert page.ask("document.querySelectorAll('.card h3 b, img, video, canvas').length") == 0


def test_it_says_so_when_the_node_is_gone_and_when_it_is_back(page: Page, served: Served) -> None:
    page.wait("document.getElementById('link').dataset.state === 'live'")

    def broken() -> None:
        raise RuntimeError("for a moment")

    served.node.status, healthy = broken, served.node.status  # type: ignore[assignment,method-assign]
    page.wait("document.getElementById('link').dataset.state === 'lost'")
    served.node.status = healthy  # type: ignore[method-assign]
    page.wait("document.getElementById('link').dataset.state === 'live'")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_it_fits_the_screen(page: Page, served: Served, tmp_path: Path, width: int, scheme: str) -> None:
    served.show(*make_events(1))
    page.wait("document.querySelectorAll('#events tr').length === 1")
    page.look(tmp_path / "page.png", width, 800, scheme)
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")


def test_the_interface_is_described_without_a_cdn(page: Page, served: Served) -> None:
    page.open(served.url + "docs")
    page.wait("document.querySelectorAll('details.operation').length >= 15")
    page.ask("document.querySelector('details.operation button').click()")
    page.wait("document.querySelector('pre').textContent.includes('\"ok\"')")
    assert page.faults == []
