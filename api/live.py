"""Live view over HTTP: WHEP (draft-ietf-wish-whep-03), and moving JPEG where that does not get through."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import StreamingResponse

from api import schemas
from api.access.roles import Principal
from api.access.rules import access_of, needs
from api.whep import OfferError, Viewer
from edge.clip import snapshot
from edge.live import LiveChannel, LiveHub, LivePacket

MAX_SDP = 32 * 1024
"""Bytes of an offer; a browser's has some 6,000."""
CHECK_S = 5.0
"""How often it is looked whether a viewer still may see what they see."""
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
BOUNDARY = "picture"
MJPEG = f"multipart/x-mixed-replace; boundary={BOUNDARY}"

CameraId = Annotated[str, Path(max_length=63, description="The camera's id in the configuration.")]
SessionId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{22}$", description="As in the answer's Location.")]

_PROBLEM: dict[str, Any] = {"model": schemas.Problem, "content": {"application/problem+json": {}}}
_DENIED: dict[int | str, dict[str, Any]] = {
    401: _PROBLEM | {"description": "Nobody is known."},
    403: _PROBLEM | {"description": "They may not."},
    404: _PROBLEM | {"description": "There is no such camera or session."},
}
_OFFERED: dict[int | str, dict[str, Any]] = {
    **_DENIED,
    201: {
        "description": "The answer; `Location` is the session.",
        "content": {"application/sdp": {"schema": {"type": "string"}}},
    },
    400: _PROBLEM | {"description": "The offer is not understood."},
    413: _PROBLEM | {"description": "The offer is too long."},
    415: _PROBLEM | {"description": "It is no application/sdp."},
    503: _PROBLEM | {"description": "Too many viewers, or the audit log cannot be written."},
}


class HasLive(Protocol):
    """A node whose cameras can be watched."""

    @property
    def live(self) -> LiveHub:
        """Of all cameras."""
        ...


@dataclass(slots=True)
class _Session:
    """A viewer that was let in.

    Attributes:
        camera: what they watch.
        who: they are.
        viewer: their connection.
        minder: looks whether they still may.
    """

    camera: str
    who: Principal
    viewer: Viewer
    minder: asyncio.Task[None] | None = None


class Watching:
    """Who watches which camera, each by an id that cannot be guessed. For the loop's thread.

    Args:
        node: its cameras.
    """

    def __init__(self, node: HasLive) -> None:
        self._node = node
        self._sessions: dict[str, _Session] = {}
        self._jpegs: set[_Newest] = set()

    @property
    def viewers(self) -> int:
        """Of all cameras, by WHEP and by JPEG."""
        return len(self._sessions) + len(self._jpegs)

    def channel(self, camera_id: str) -> LiveChannel:
        """A camera's channel, for one viewer more.

        Raises:
            HTTPException: 404 or 503.
        """
        live = self._node.live
        channel = live.channel(camera_id)
        if channel is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "No camera has this id, or none can be watched live.")
        if self.viewers >= live.config.max_viewers:
            text = "Too many viewers; live.max_viewers says how many there may be."
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": "10"})
        return channel

    async def begin(self, request: Request, who: Principal, camera_id: str, offer: str) -> Response:
        """Let a viewer watch who sent an offer.

        Raises:
            HTTPException: 400, 404 or 503.
        """
        live, id_ = self._node.live, secrets.token_urlsafe(16)
        viewer = Viewer(self.channel(camera_id), live.config, lambda: self._over(id_))
        session = self._sessions[id_] = _Session(camera_id, who, viewer)
        try:
            answer = await viewer.answer(offer)
        except OfferError as exc:
            await viewer.close()
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(exc)) from None
        except BaseException:
            await viewer.close()
            raise
        session.minder = asyncio.create_task(_minded(session, request))
        headers = {
            "Location": f"/cameras/{camera_id}/whep/{id_}",
            "ETag": f'"{id_}"',
            "Accept-Patch": FRAGMENT,
        }
        if links := _links(live):
            headers["Link"] = links
        return Response(answer, HTTPStatus.CREATED, headers, SDP)

    def session(self, camera_id: str, id_: str, who: Principal) -> Viewer:
        """The viewer of a session that is somebody's own.

        Raises:
            HTTPException: 404.
        """
        session = self._sessions.get(id_)
        if session is None or session.camera != camera_id or session.who != who:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such session, or it is over.")
        return session.viewer

    async def jpegs(self, channel: LiveChannel, request: Request, who: Principal) -> AsyncGenerator[bytes]:
        """Pictures one after the other; who is slow gets fewer, and always the newest."""
        loop, access = asyncio.get_running_loop(), access_of(request)
        newest = _Newest()
        self._jpegs.add(newest)
        leave = channel.watch(lambda packet: _soon(loop, newest.put, packet))
        checked_s = loop.time()
        try:
            while not newest.over:
                packet = await newest.take()
                if loop.time() - checked_s >= CHECK_S:
                    checked_s = loop.time()
                    if not access.still(request, who):
                        return
                if packet is not None:
                    yield _part(await asyncio.to_thread(snapshot, packet.picture))
        finally:
            self._jpegs.discard(newest)
            leave()

    def _over(self, id_: str) -> None:
        session = self._sessions.pop(id_, None)
        if session is not None and session.minder is not None:
            session.minder.cancel()

    async def close(self) -> None:
        """End all."""
        for newest in self._jpegs:
            newest.end()
        for session in list(self._sessions.values()):
            await session.viewer.close()


def router(watching: Watching) -> APIRouter:
    """The routes of live view.

    Args:
        watching: who watches.
    """
    made = APIRouter(prefix="/cameras/{camera_id}", tags=["live"])

    @made.post(
        "/whep",
        summary="Watch a camera live: an SDP offer that receives one video in H.264",
        status_code=HTTPStatus.CREATED,
        response_class=Response,
        responses=_OFFERED,
        openapi_extra=_body_of(SDP),
    )
    async def begin(
        request: Request,
        who: Annotated[Principal, needs("video.live", camera="camera_id")],
        camera_id: CameraId,
    ) -> Response:
        return await watching.begin(request, who, camera_id, await _sdp(request, SDP))

    @made.patch(
        "/whep/{session_id}",
        summary="More of the viewer's addresses (trickle ICE)",
        status_code=HTTPStatus.NO_CONTENT,
        responses={**_DENIED, **{code: _OFFERED[code] for code in (400, 413, 415)}},
        openapi_extra=_body_of(FRAGMENT),
    )
    async def trickle(
        request: Request,
        who: Annotated[Principal, needs("video.live", camera="camera_id", follow_up=True)],
        camera_id: CameraId,
        session_id: SessionId,
    ) -> None:
        fragment = await _sdp(request, FRAGMENT)
        try:
            await watching.session(camera_id, session_id, who).add_candidates(fragment)
        except OfferError as exc:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(exc)) from None

    @made.delete(
        "/whep/{session_id}", summary="Stop watching", status_code=HTTPStatus.NO_CONTENT, responses=_DENIED
    )
    async def end(
        who: Annotated[Principal, needs("video.live", camera="camera_id", follow_up=True)],
        camera_id: CameraId,
        session_id: SessionId,
    ) -> None:
        await watching.session(camera_id, session_id, who).close()

    @made.get(
        "/live.mjpeg",
        summary="Watch a camera live as moving JPEG, where WHEP does not get through",
        response_class=Response,
        responses={**_DENIED, 200: {"content": {MJPEG: {"schema": {"type": "string"}}}}, 503: _OFFERED[503]},
    )
    async def jpeg(
        request: Request,
        who: Annotated[Principal, needs("video.live", camera="camera_id")],
        camera_id: CameraId,
    ) -> Response:
        channel = watching.channel(camera_id)
        return StreamingResponse(watching.jpegs(channel, request, who), media_type=MJPEG)

    return made


async def _minded(session: _Session, request: Request) -> None:
    """End a session when its viewer may not see the camera any more."""
    access = access_of(request)
    while access.still(request, session.who):  # noqa: ASYNC110 - nothing announces that a right has ended
        await asyncio.sleep(CHECK_S)
    session.minder = None
    await session.viewer.close()


async def _sdp(request: Request, wanted: str) -> str:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {wanted}.")
    body = await request.body()
    if len(body) > MAX_SDP:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {MAX_SDP} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "It is no UTF-8.") from None


def _links(hub: LiveHub) -> str:
    """ICE servers for the viewer; without passwords, which are the node's own."""
    return ", ".join(f'<{one.url}>; rel="ice-server"' for one in hub.config.ice_servers if not one.credential)


class _Newest:
    """The newest picture for one viewer. `over` is whether there will be no more."""

    def __init__(self) -> None:
        self.over = False
        self._packet: LivePacket | None = None
        self._news = asyncio.Event()

    def put(self, packet: LivePacket) -> None:
        self._packet = packet
        self._news.set()

    def end(self) -> None:
        self.over = True
        self._news.set()

    async def take(self) -> LivePacket | None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), CHECK_S)
        self._news.clear()
        packet, self._packet = self._packet, None
        return packet


def _part(body: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def _soon(loop: asyncio.AbstractEventLoop, put: Callable[[LivePacket], None], packet: LivePacket) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(put, packet)


def _body_of(media: str) -> dict[str, Any]:
    content = {"content": {media: {"schema": {"type": "string"}}}, "required": True}
    return {"requestBody": content}
