"""Roles and what each may do: one table, read by the dependency, the tests and docs/access.md."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal

EVERYWHERE = "*"
REGION = "region:"
"""Begins a scope that names a region by the first digits of its code instead of cameras."""

_SCOPE = re.compile(r"region:\d{6}(\d{3}){0,3}|[a-z0-9._*?\[\]-]{1,80}")
_NAME = re.compile(r"[\w][\w.@:/+-]{0,79}")


class Role(StrEnum):
    """Who somebody, or something, is to this node or centre."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    NODE = "node"
    CENTRE = "centre"


@dataclass(frozen=True, slots=True)
class Permission:
    """Something that may be done.

    Attributes:
        name: such as `video.live`.
        about: in plain words.
        of_camera: whether a grant for some cameras is enough for it, for those.
        reason: whether who does it must say why; always recorded before it happens.
        recorded: whether it is written to the audit log when it is allowed or refused.
    """

    name: str
    about: str
    of_camera: bool = False
    reason: bool = False
    recorded: bool = False

    def __post_init__(self) -> None:
        if self.reason and not self.recorded:
            raise ValueError(f"{self.name}: a reason that nobody records is none")


PERMISSIONS: Mapping[str, Permission] = MappingProxyType(
    {
        one.name: one
        for one in (
            Permission("node.read", "the node's state", of_camera=True),
            Permission("cameras.read", "cameras and their state, without pictures", of_camera=True),
            Permission("events.read", "events as they come, and the newest", of_camera=True),
            Permission("metrics.read", "metrics for Prometheus"),
            Permission("video.live", "live video, redacted", of_camera=True, reason=True, recorded=True),
            Permission(
                "video.snapshot",
                "pictures of incidents, redacted",
                of_camera=True,
                reason=True,
                recorded=True,
            ),
            Permission(
                "video.clip", "clips of incidents, redacted", of_camera=True, reason=True, recorded=True
            ),
            Permission(
                "evidence.delete",
                "deleting evidence before it expires",
                of_camera=True,
                reason=True,
                recorded=True,
            ),
            Permission("config.read", "the configuration, without its secrets", recorded=True),
            Permission("config.write", "changes of the configuration", reason=True, recorded=True),
            Permission("audit.read", "the audit log and its export", recorded=True),
            Permission("users.read", "users, tokens and their roles"),
            Permission("users.write", "making, changing and removing users and tokens", recorded=True),
            Permission("session.own", "one's own session: who one is, and leaving", of_camera=True),
            Permission("cases.read", "cases, numbers, tables and nodes of a centre"),
            Permission("cases.write", "acting on a centre's cases, with a reason of its own"),
            Permission("nodes.write", "admitting and revoking nodes' keys, and the surge profile"),
            Permission("cases.export", "cases of a centre as files"),
        )
    }
)
"""All that may be done, by name. There is nothing else: a route that asks for another does not start."""

_READS = frozenset({"session.own", "node.read", "cameras.read", "events.read", "cases.read"})
_VIDEO = frozenset({"video.live", "video.snapshot", "video.clip"})

MAY: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        Role.VIEWER: _READS,
        Role.OPERATOR: _READS | _VIDEO | {"cases.write", "cases.export"},
        Role.ADMIN: frozenset(PERMISSIONS),
        Role.NODE: frozenset({"session.own", "node.read", "metrics.read"}),
        Role.CENTRE: _READS | {"metrics.read", "video.snapshot", "video.clip"},
    }
)
"""What each role may do, where its scope reaches."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera as scopes see it.

    Attributes:
        id: of the camera.
        region: GB/T 2260 and grid code, as many digits as are known.
    """

    id: str
    region: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, and where it holds.

    Attributes:
        role: what may be done.
        scope: where: ids of cameras, in which `*`, `?` and `[...]` stand for others, and `region:360103`,
            which reaches all below it. One that matches is enough.
    """

    role: Role
    scope: tuple[str, ...] = (EVERYWHERE,)

    def __post_init__(self) -> None:
        if not self.scope or len(self.scope) > 64:
            raise ValueError("a scope names 1 to 64 cameras or regions; `*` is all")
        for one in self.scope:
            if not _SCOPE.fullmatch(one):
                raise ValueError(
                    f"{one!r} is no scope: it is a camera's id, in which * and ? stand for others, or "
                    "region: and 6, 9, 12 or 15 digits"
                )

    @classmethod
    def parse(cls, text: str) -> "Grant":
        """A grant from text such as `operator@gate-*,region:360103001`; without `@`, everywhere.

        Raises:
            ValueError: it is none; says what it may be.

        Example:
            >>> Grant.parse("viewer@gate-*").scope
            ('gate-*',)
        """
        name, at, scope = text.partition("@")
        if name not in tuple(Role):
            raise ValueError(f"there is no role {name!r}; there are {', '.join(Role)}")
        return cls(Role(name), tuple(scope.split(",")) if at else (EVERYWHERE,))

    def __str__(self) -> str:
        everywhere = self.scope == (EVERYWHERE,)
        return str(self.role) if everywhere else f"{self.role}@{','.join(self.scope)}"

    def allows(self, permission: Permission, camera: Camera | None) -> bool:
        """Whether it lets somebody do that.

        Without a camera: at least somewhere, or everywhere if the permission is not about cameras.
        """
        if permission.name not in MAY[self.role]:
            return False
        if EVERYWHERE in self.scope or (camera is None and permission.of_camera):
            return True
        return camera is not None and permission.of_camera and any(_within(camera, one) for one in self.scope)


def _within(camera: Camera, scope: str) -> bool:
    if scope.startswith(REGION):
        return camera.region.startswith(scope.removeprefix(REGION))
    return fnmatchcase(camera.id, scope)


Way = Literal["anonymous", "loopback", "session", "token", "command"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as it was proved.

    Attributes:
        name: of the user or token; `-` for nobody in particular.
        grants: what they may do, and where.
        way: how they proved who they are.
        unit: the organisation they belong to.
    """

    name: str
    grants: tuple[Grant, ...] = ()
    way: Way = "anonymous"
    unit: str = ""

    def __post_init__(self) -> None:
        if self.name != "-" and not _NAME.fullmatch(self.name):
            raise ValueError(
                "a name has 1 to 80 letters, digits and . @ : / + - _, and begins with none of these"
            )

    @property
    def known(self) -> bool:
        """Whether somebody in particular asks."""
        return self.way not in ("anonymous", "loopback")

    @property
    def roles(self) -> str:
        """The roles' names, for the audit log."""
        return "+".join(dict.fromkeys(str(grant.role) for grant in self.grants)) or "-"

    def may(self, permission: str, camera: Camera | None = None) -> bool:
        """Whether they may do that, with that camera. See `Grant.allows`."""
        return any(grant.allows(PERMISSIONS[permission], camera) for grant in self.grants)


NOBODY = Principal("-")
"""Whoever brings nothing."""


def is_name(text: str) -> bool:
    """Whether that can be a user's or a token's name."""
    return _NAME.fullmatch(text) is not None


def grants_of(texts: Iterable[str]) -> tuple[Grant, ...]:
    """Grants from their texts.

    Raises:
        ValueError: one is none.
    """
    return tuple(Grant.parse(text) for text in texts)
