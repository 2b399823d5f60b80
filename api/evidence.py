"""Evidence of incidents over HTTP: what there is, its manifest, its redacted pictures, and its removal.

Nothing of a request becomes part of a path: files are found by the store's own index.
"""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.responses import FileResponse

from api import schemas
from api.access.roles import Principal
from api.access.rules import needs
from edge.evidence_store import EvidenceStore, Piece
from edge.manifest import CLIP, MANIFEST, SNAPSHOT, FileName, Manifest

MAX_LISTED = 500
"""Pieces in one answer."""
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

CameraId = Annotated[str, Path(max_length=63, description="The camera's id in the configuration.")]
EvidenceId = Annotated[str, Path(pattern=_UUID, description="The evidence's id, as in the event's links.")]

_PROBLEM: dict[str, Any] = {"model": schemas.Problem, "content": {"application/problem+json": {}}}
_DENIED: dict[int | str, dict[str, Any]] = {
    401: _PROBLEM | {"description": "Nobody is known."},
    403: _PROBLEM | {"description": "They may not."},
}
_GONE: dict[int | str, dict[str, Any]] = {404: _PROBLEM | {"description": "Not there, or not any more."}}
_VIDEO: dict[int | str, dict[str, Any]] = {
    **_DENIED,
    **_GONE,
    206: {"description": "The part that was asked for."},
    416: {"description": "There is no such part."},
    503: _PROBLEM | {"description": "The audit log cannot be written, so nobody sees video."},
}


class Keeps(Protocol):
    """What the interface needs of a node's evidence."""

    @property
    def store(self) -> EvidenceStore:
        """What is kept."""
        ...


class HasEvidence(Protocol):
    """A node that keeps evidence."""

    @property
    def evidence(self) -> Keeps:
        """Of its incidents."""
        ...


def router(node: HasEvidence) -> APIRouter:
    """The routes of a node's evidence.

    Args:
        node: its store is there when requests come.
    """
    made = APIRouter(prefix="/cameras/{camera_id}/evidence", tags=["evidence"])

    async def find(camera_id: str, id_: str) -> Piece:
        piece = await asyncio.to_thread(node.evidence.store.get, id_, camera_id)
        if piece is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such evidence, or it has expired.")
        return piece

    async def file(camera_id: str, id_: str, name: FileName) -> FileResponse:
        piece = await find(camera_id, id_)
        digest = piece.manifest.files[name].sha256
        media = "video/mp4" if name == CLIP else "image/jpeg"
        headers = {
            "ETag": f'"{digest}"',
            "Content-Disposition": f'inline; filename="{piece.id}-{name}"',
        }
        return FileResponse(node.evidence.store.path(piece, name), headers=headers, media_type=media)

    @made.get(
        "",
        summary="What is kept of a camera's incidents, newest first",
        responses=_DENIED,
        dependencies=[needs("events.read", camera="camera_id")],
    )
    async def listed(
        camera_id: CameraId,
        incident: Annotated[str | None, Query(pattern=_UUID, description="Of this incident only.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many at most.")] = 100,
    ) -> list[Manifest]:
        pieces = await asyncio.to_thread(node.evidence.store.of, camera_id, incident)
        return [piece.manifest for piece in pieces[:limit]]

    @made.get(
        "/{evidence_id}",
        summary="A piece's signed manifest, as it was made",
        responses={**_DENIED, **_GONE, 200: {"model": schemas.SignedManifest}},
        response_class=Response,
        dependencies=[needs("events.read", camera="camera_id")],
    )
    async def manifest(camera_id: CameraId, evidence_id: EvidenceId) -> Response:
        piece = await find(camera_id, evidence_id)
        try:
            line = await asyncio.to_thread(node.evidence.store.path(piece, MANIFEST).read_bytes)
        except FileNotFoundError:
            raise HTTPException(HTTPStatus.NOT_FOUND, "It has just been deleted.") from None
        return Response(line, media_type="application/json")

    for name, permission, what in (
        (SNAPSHOT, "video.snapshot", "The picture at the incident's worst look, redacted"),
        (CLIP, "video.clip", "The clip, redacted; parts of it on request (Range)"),
    ):
        _add_file(made, file, name, (permission, what))

    @made.delete(
        "/{evidence_id}",
        summary="Delete a piece before it expires, for a reason",
        status_code=HTTPStatus.NO_CONTENT,
        responses={**_DENIED, **_GONE, 503: _VIDEO[503]},
    )
    async def delete(
        who: Annotated[Principal, needs("evidence.delete", camera="camera_id")],
        camera_id: CameraId,
        evidence_id: EvidenceId,
    ) -> None:
        piece = await find(camera_id, evidence_id)
        await asyncio.to_thread(node.evidence.store.delete, piece, "asked", f"by {who.name}")

    return made


def _add_file(made: APIRouter, file: Any, name: FileName, of: tuple[str, str]) -> None:
    permission, what = of

    async def get(camera_id: CameraId, evidence_id: EvidenceId) -> Response:
        answer: Response = await file(camera_id, evidence_id, name)
        return answer

    media = "video/mp4" if name == CLIP else "image/jpeg"
    for method in ("GET", "HEAD"):  # one route each, so that each operation is described by a name of its own
        made.add_api_route(
            f"/{{evidence_id}}/{name}",
            get,
            methods=[method],
            name=name,
            summary=what if method == "GET" else f"{what}: its size and hash alone",
            response_class=Response,
            responses={
                **_VIDEO,
                200: {"content": {media: {"schema": {"type": "string", "format": "binary"}}}},
            },
            dependencies=[needs(permission, camera="camera_id")],
        )
