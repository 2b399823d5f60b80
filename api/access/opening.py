"""From a configuration to what decides who may do what."""

from pathlib import Path

from fastapi import APIRouter

from api.access.accounts import Accounts
from api.access.gate import Access, Rules
from api.access.passwords import Passwords
from api.access.roles import Camera, Role
from api.access.sessions import Sessions
from api.access.trail import Trail
from api.errors import USAGE, CommandError
from edge.audit import AuditLog
from edge.config import Config
from streams.clock import Clock, SystemClock

_NOWHERE = Path("/nonexistent")


def open_access(config: Config, clock: Clock | None = None) -> Access:
    """What decides for a node; with users, its audit log is opened as well.

    Args:
        config: of the node.
        clock: time; the host's unless a test says otherwise.

    Raises:
        AuditError: the audit log cannot be opened.
        SigningError: the node's key cannot be had.
    """
    clock = clock or SystemClock()
    data_dir, users = config.node.data_dir, config.access.users
    cameras = {one.id: Camera(one.id, one.place.grid or config.node.district) for one in config.cameras}
    rules = Rules(users, config.tls.on, cameras, config.access.unit)
    trail = Trail(AuditLog(data_dir, clock) if users else None, clock.monotonic)
    sessions = Sessions(clock.monotonic, config.access.session_idle_s, config.access.session_max_s)
    return Access(rules, Accounts(data_dir), sessions, trail, clock, Passwords)


def open_sign_on(config: Config, clock: Clock | None = None) -> APIRouter | None:
    """The routes of single sign-on, where it is configured.

    Args:
        config: of the node.
        clock: time; the host's unless a test says otherwise.

    Raises:
        CommandError: the extra is not installed, or a role is none.
    """
    settings = config.access.oidc
    if settings is None:
        return None
    try:
        from api.access import oidc
    except ImportError:
        raise CommandError(
            "access.oidc needs Authlib and httpx, which are not installed: pip install 'sharpeyes[oidc]'",
            USAGE,
        ) from None
    try:
        return oidc.router(oidc.SingleSignOn(settings, clock or SystemClock()))
    except ValueError as exc:
        raise CommandError(f"access.oidc.roles: {exc}", USAGE) from None


def unguarded(role: Role = Role.VIEWER, token: str | None = None) -> Access:
    """What decides where there are no users: this machine may do what `role` may, and there is no video.

    Args:
        role: of whoever asks.
        token: who brings it may do everything, and nobody else anything.
    """
    clock = SystemClock()
    sessions = Sessions(clock.monotonic, 1800.0, 43_200.0)
    rules = Rules(open_role=role, shared_token=token)
    return Access(rules, Accounts(_NOWHERE), sessions, Trail(None, clock.monotonic), clock)
