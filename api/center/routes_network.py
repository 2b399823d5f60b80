"""Nodes and their keys, regions, triage, surge mode."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from api.access.roles import Principal
from api.access.rules import needs
from api.center import schemas
from api.center.desk import Desk
from api.center.keys import public_key
from api.center.model import Hole, Key
from api.center.routes_cases import PROBLEM, REFUSALS, actor
from api.center.tables import SURGE, USUAL

HOLES = 100
"""Holes shown of each node."""

Asking = Annotated[Principal, needs("nodes.write")]
NodeId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The node's id.")]
KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="First 16 digits of the key's SHA-256.")]


def router(desk: Desk) -> APIRouter:
    """Routes of nodes, regions, triage and surge mode."""
    routes = APIRouter(responses=REFUSALS)
    _nodes(routes, desk)
    _tables(routes, desk)
    return routes


def _nodes(routes: APIRouter, desk: Desk) -> None:
    @routes.get(
        "/nodes",
        tags=["nodes"],
        summary="Nodes that are known or were heard",
        dependencies=[needs("cases.read")],
    )
    def nodes() -> list[schemas.Node]:
        return _known(desk)

    @routes.post(
        "/nodes/{node_id}/keys",
        tags=["nodes"],
        status_code=201,
        summary="Admit a node's key",
        description="From then on the centre takes events of this node that the key signed, and asks the "
        "node for those that it refused before. A node may have several keys: admit the new one, then revoke "
        "the old.",
    )
    def admit(node_id: NodeId, admitting: schemas.Admitting, asking: Asking) -> schemas.Key:
        try:
            public = public_key(admitting.key)
        except ValueError as exc:
            raise HTTPException(422, f"key: {exc}") from None
        return _key(desk.store.admit(node_id, public, actor(asking, admitting.who), admitting.why))

    @routes.post(
        "/nodes/{node_id}/keys/{key_id}/revocation",
        tags=["nodes"],
        summary="Revoke a node's key",
        responses={404: PROBLEM},
    )
    def revoke(node_id: NodeId, key_id: KeyId, deciding: schemas.Deciding, asking: Asking) -> schemas.Key:
        return _key(desk.store.revoke(node_id, key_id, actor(asking, deciding.who), deciding.why))


def _known(desk: Desk) -> list[schemas.Node]:
    keys: dict[str, list[Key]] = {}
    admitted = desk.store.keys()
    for key in admitted:
        keys.setdefault(key.node, []).append(key)
    holes: dict[str, list[Hole]] = {}
    for hole in desk.store.holes(0.0, 10_000):
        holes.setdefault(hole.node, []).append(hole)
    heard, through = desk.store.heard(), desk.store.stored_through()
    return [
        schemas.Node(
            id=node,
            keys=tuple(_key(key) for key in keys.get(node, ())),
            heard=heard.get(node),
            stored_through=through.get(node, 0),
            holes=tuple(schemas.Hole.model_validate(hole) for hole in holes.get(node, ())[:HOLES]),
        )
        for node in sorted(keys.keys() | heard.keys() | through.keys())
    ]


def _key(key: Key) -> schemas.Key:
    return schemas.Key(
        id=key.id,
        public=key.public.hex(),
        admitted=key.admitted,
        admitted_by=key.admitted_by,
        revoked=key.revoked,
        revoked_by=key.revoked_by,
    )


def _tables(routes: APIRouter, desk: Desk) -> None:
    @routes.get(
        "/regions",
        tags=["tables"],
        summary="District, streets, communities, grids",
        dependencies=[needs("cases.read")],
    )
    def regions() -> list[schemas.Region]:
        return [
            schemas.Region(
                code=region.code,
                name=region.name,
                depth=region.depth,
                parent=above.code if (above := desk.regions.above(region.code)) else None,
            )
            for region in desk.regions.regions
        ]

    @routes.get(
        "/triage",
        tags=["tables"],
        summary="Who handles what, and by when",
        dependencies=[needs("cases.read")],
    )
    def triage() -> schemas.Triage:
        return _triage(desk)

    @routes.get(
        "/surge", tags=["surge"], summary="The profile that holds now", dependencies=[needs("cases.read")]
    )
    def profile() -> schemas.Surge:
        return schemas.Surge(profile=SURGE if desk.store.in_surge() else USUAL)

    @routes.post(
        "/surge",
        tags=["surge"],
        summary="Switch between the usual profile and that for surges (平战结合)",
        description="The nodes of the district are told to use the thresholds of that profile, and deadlines "
        "follow the triage table's share for it.",
    )
    def surge(surging: schemas.Surging, asking: Asking) -> schemas.Surge:
        desk.store.surge(surging.on, actor(asking, surging.who), surging.why)
        return schemas.Surge(profile=SURGE if surging.on else USUAL)


def _triage(desk: Desk) -> schemas.Triage:
    tables = desk.triage
    return schemas.Triage(
        kinds=tuple(
            schemas.Duty(kind=kind, category=duty.category, department=duty.department)
            for kind, duty in tables.kinds.items()
        ),
        levels=tuple(
            schemas.Urgency(
                level=level,
                told=urgency.told,
                deadline_min={stage.value: minutes for stage, minutes in urgency.deadline_min.items()},
            )
            for level, urgency in sorted(tables.levels.items())
        ),
        profiles=dict(tables.profiles),
        causes=dict(tables.causes),
        names=dict(tables.names),
    )
