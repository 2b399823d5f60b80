"""From a configuration to what decides who may do what."""

from pathlib import Path

from fastapi import APIRouter

from api.access.accounts import Accounts
from api.access.gate import Access, Rules
from api.access.passwords import Passwords
from api.access.roles import Role
from api.access.sessions import Sessions
from api.access.trail import Trail
from api.errors import USAGE, CommandError
from edge.access_config import AccessConfig
from edge.audit import AuditLog
from streams.clock import Clock, SystemClock

_NOWHERE = Path("/nonexistent")


def open_access(settings: AccessConfig, data_dir: Path, rules: Rules, clock: Clock) -> Access:
    """What decides for a node or a centre; with users, its audit log is opened as well.

    Args:
        settings: the configuration's section.
        data_dir: where accounts, keys and audit log lie.
        rules: what else of the configuration decides.
        clock: time.

    Raises:
        AuditError: the audit log cannot be opened.
        SigningError: the key that signs it cannot be had.
    """
    trail = Trail(AuditLog(data_dir, clock) if rules.users else None, clock.monotonic)
    sessions = Sessions(clock.monotonic, settings.session_idle_s, settings.session_max_s)
    return Access(rules, Accounts(data_dir), sessions, trail, clock, Passwords)


def open_sign_on(access: AccessConfig, clock: Clock) -> APIRouter | None:
    """The routes of single sign-on, where it is configured.

    Args:
        access: the configuration's section.
        clock: time.

    Raises:
        CommandError: the extra is not installed, or a role is none.
    """
    settings = access.oidc
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
        return oidc.router(oidc.SingleSignOn(settings, clock))
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
