"""Whose keys are admitted: who may speak to the centre."""

import hashlib
import re
from typing import Any

import sqlalchemy as sa

from api.center.errors import IllegalError, NotFoundError
from api.center.instants import from_ms
from api.center.model import Key
from api.center.schema import keys, nodes
from api.center.store.accounts import node_id
from api.center.store.acts import MAX_WHO, MAX_WHY, said
from api.center.store.work import Work

_NODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SELECT = sa.select(keys, nodes.c.node).join_from(keys, nodes, nodes.c.id == keys.c.node_id)


def key_id(public: bytes) -> str:
    """The id of a public key: the first 16 hexadecimal digits of SHA-256 over its 32 bytes.

    Raises:
        ValueError: it has not 32 bytes.
    """
    if len(public) != 32:
        raise ValueError(f"an Ed25519 public key has 32 bytes, got {len(public)}")
    return hashlib.sha256(public).hexdigest()[:16]


def admit(work: Work, node: str, public: bytes, who: str, why: str) -> Key:
    """Let a node speak by a key. Admitting again what is admitted changes nothing.

    Raises:
        IllegalError: no node can have such an id, the key is another node's or was revoked, or nobody says
            who admits it, or why.
        ValueError: it is no Ed25519 public key.
    """
    who, why, id_ = said(who, "who", MAX_WHO), said(why, "why", MAX_WHY), key_id(public)
    if not _NODE.fullmatch(node):
        raise IllegalError(
            f"no node can have the id {node!r}: give node.id of its configuration, up to 63 of a-z, 0-9, "
            "'.', '_' and '-', the first a letter or digit"
        )
    row = work.connection.execute(_SELECT.where(keys.c.key == id_)).one_or_none()
    if row is not None:
        if row.revoked_ms is not None:
            raise IllegalError(f"the key {id_} was revoked, and stays so; the node needs a new one")
        if row.node != node or row.public != public:
            raise IllegalError(f"the key {id_} belongs to another node")
        return _key(row)
    values = {
        "key": id_,
        "node_id": node_id(work, node),
        "public": public,
        "admitted_ms": work.now_ms,
        "admitted_by": who,
    }
    work.connection.execute(sa.insert(keys), values)
    work.record(None, who, "admit", why, detail={"node": node, "key": id_})
    return _key(work.connection.execute(_SELECT.where(keys.c.key == id_)).one())


def revoke(work: Work, node: str, id_: str, who: str, why: str) -> Key:
    """Let a node no longer speak by a key. Revoking again changes nothing.

    Raises:
        NotFoundError: the node has no such key.
        IllegalError: nobody says who revokes it, or why.
    """
    who, why = said(who, "who", MAX_WHO), said(why, "why", MAX_WHY)
    found = _SELECT.where(keys.c.key == id_, nodes.c.node == node)
    row = work.connection.execute(found).one_or_none()
    if row is None:
        raise NotFoundError(f"the node {node!r} has no key {id_!r}")
    if row.revoked_ms is None:
        change = sa.update(keys).where(keys.c.key == id_).values(revoked_ms=work.now_ms, revoked_by=who)
        work.connection.execute(change)
        work.record(None, who, "revoke", why, detail={"node": node, "key": id_})
        row = work.connection.execute(found).one()
    return _key(row)


def read_keys(connection: sa.Connection, node: str | None = None) -> list[Key]:
    """All keys, or those of a node, revoked ones among them; in the order of their admission."""
    query = _SELECT.order_by(keys.c.admitted_ms, keys.c.key)
    if node is not None:
        query = query.where(nodes.c.node == node)
    return [_key(row) for row in connection.execute(query)]


def _key(row: Any) -> Key:
    revoked = None if row.revoked_ms is None else from_ms(row.revoked_ms)
    return Key(
        row.node, row.key, row.public, from_ms(row.admitted_ms), row.admitted_by, revoked, row.revoked_by
    )
