"""Evidence over HTTP: parts on request, nothing beside the index, every look recorded with its reason."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.node import create_app
from edge.evidence_store import Piece
from tests.support.access import WHY, House, client
from tests.support.api_node import FakeNode
from tests.support.evidence import INCIDENT, Register, Wall, keep, new_ids, store

pytestmark = pytest.mark.asyncio
SIZE = 1000


class Kept:
    """A node that has kept one piece of its camera `gate-2`."""

    def __init__(self, folder: Path) -> None:
        self.wall, self.register = Wall(), Register()
        self.node = FakeNode()
        self.store = store(folder, self.wall, self.register)
        self.node.evidence.store = self.store
        self.piece: Piece = keep(self.store, self.wall, new_ids()(), size=SIZE, camera="gate-2")
        self.store.path(self.piece, "clip.mp4").write_bytes(bytes(k % 251 for k in range(SIZE - 10)))

    @property
    def link(self) -> str:
        return f"/cameras/gate-2/evidence/{self.piece.id}"


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "node")


@pytest.fixture
async def app(kept: Kept, house: House) -> FastAPI:
    return create_app(kept.node, access=house.access)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as asking:
        yield asking


def bearing(house: House, grant: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {house.token(grant, name=grant.split('@', maxsplit=1)[0])}", **more}


REASON = {"reason": WHY}


async def test_a_clip_comes_whole_and_in_parts(http: httpx.AsyncClient, house: House, kept: Kept) -> None:
    who = bearing(house, "operator")
    body = kept.store.path(kept.piece, "clip.mp4").read_bytes()
    whole = await http.get(f"{kept.link}/clip.mp4", headers=who, params=REASON)
    assert (whole.status_code, whole.content) == (200, body)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["cache-control"] == "no-store"
    etag = whole.headers["etag"]
    assert etag == f'"{kept.piece.manifest.files["clip.mp4"].sha256}"'
    for asked, begin, end in (("bytes=0-9", 0, 10), ("bytes=980-", 980, 990), ("bytes=-5", 985, 990)):
        part = await http.get(f"{kept.link}/clip.mp4", headers={**who, "Range": asked}, params=REASON)
        assert (part.status_code, part.content) == (206, body[begin:end])
        assert part.headers["content-range"] == f"bytes {begin}-{end - 1}/990"
    other = {**who, "Range": "bytes=0-9", "If-Range": '"another"'}
    assert (await http.get(f"{kept.link}/clip.mp4", headers=other, params=REASON)).status_code == 200
    same = {**who, "Range": "bytes=0-9", "If-Range": etag}
    assert (await http.get(f"{kept.link}/clip.mp4", headers=same, params=REASON)).status_code == 206
    head = await http.head(f"{kept.link}/clip.mp4", headers=who, params=REASON)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "990")


@pytest.mark.parametrize(
    "asked", ["bytes=990-", "bytes=5-2", "bytes=", "bytes=a-b", "bytes=" + "0-1," * 500, "bytes=--1", "\x00"]
)
async def test_parts_that_are_none_are_refused_or_left_aside(
    http: httpx.AsyncClient, house: House, kept: Kept, asked: str
) -> None:
    headers = bearing(house, "operator", Range=asked)
    answer = await http.get(f"{kept.link}/clip.mp4", headers=headers, params=REASON)
    assert answer.status_code in (200, 206, 400, 416)
    assert len(answer.content) < 200_000


async def test_every_look_is_recorded_with_its_reason_and_which_piece(
    http: httpx.AsyncClient, house: House, kept: Kept
) -> None:
    who = bearing(house, "operator")
    without = await http.get(f"{kept.link}/snapshot.jpg", headers=who)
    assert without.status_code == 422
    answer = await http.get(f"{kept.link}/snapshot.jpg", headers=who, params=REASON)
    assert answer.status_code == 200
    act = house.acts()[-1]
    assert (act.what, act.object, act.why) == ("video.snapshot", "gate-2", WHY)
    assert kept.piece.id in act.detail


async def test_what_is_kept_is_listed_without_pictures(
    http: httpx.AsyncClient, house: House, kept: Kept
) -> None:
    who = bearing(house, "viewer")
    (one,) = (await http.get("/cameras/gate-2/evidence", headers=who)).json()
    assert one["evidence"] == kept.piece.id
    assert (await http.get("/cameras/gate-3/evidence", headers=who)).json() == []
    found = await http.get("/cameras/gate-2/evidence", headers=who, params={"incident": INCIDENT})
    assert len(found.json()) == 1
    line = (await http.get(kept.link, headers=who)).json()
    assert line["sha256"] == kept.piece.manifest.sha256
    assert (await http.get(f"{kept.link}/clip.mp4", headers=who, params=REASON)).status_code == 403


async def test_a_camera_out_of_scope_shows_nothing(http: httpx.AsyncClient, house: House, kept: Kept) -> None:
    who = bearing(house, "operator@gate-3")
    assert (await http.get(f"{kept.link}/clip.mp4", headers=who, params=REASON)).status_code == 403
    elsewhere = kept.link.replace("gate-2", "gate-3")
    assert (await http.get(f"{elsewhere}/clip.mp4", headers=who, params=REASON)).status_code == 404


@pytest.mark.parametrize(
    "id_",
    ["%2e%2e", "..%2f..%2fkeys", "%00", "a" * 200, ".making-x", "0192f0c1-0000-7000-8000-00000000000g"],
)
async def test_no_request_names_a_path(http: httpx.AsyncClient, house: House, kept: Kept, id_: str) -> None:
    who = bearing(house, "admin")
    for tail in ("", "/clip.mp4", "/snapshot.jpg", "/manifest.json", "/../../keys/node.pem"):
        answer = await http.get(f"/cameras/gate-2/evidence/{id_}{tail}", headers=who, params=REASON)
        assert answer.status_code in (400, 404, 422), answer.text
        assert b"PRIVATE" not in answer.content


async def test_only_admins_delete_and_the_register_says_who_and_why(
    http: httpx.AsyncClient, house: House, kept: Kept
) -> None:
    refused = await http.delete(kept.link, headers=bearing(house, "operator"), params=REASON)
    assert refused.status_code == 403
    who = bearing(house, "admin")
    assert (await http.delete(kept.link, headers=who)).status_code == 422
    assert (await http.delete(kept.link, headers=who, params=REASON)).status_code == 204
    assert house.acts()[-1].what == "evidence.delete"
    (gone,) = kept.register.acts
    assert (gone.why, gone.outcome) == ("asked", "done")
    assert "by admin" in gone.detail
    assert (await http.get(f"{kept.link}/clip.mp4", headers=who, params=REASON)).status_code == 404


async def test_what_has_expired_is_not_shown_even_before_it_is_deleted(
    http: httpx.AsyncClient, house: House, kept: Kept
) -> None:
    kept.wall.go(hours=73)
    answer = await http.get(f"{kept.link}/clip.mp4", headers=bearing(house, "admin"), params=REASON)
    assert answer.status_code == 404
