"""Who asks: from a request's token or cookie to a principal; signing in, signing out, and the first admin."""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from fastapi import HTTPException, Request

from api.access.accounts import Accounts, AccountsError, Book, new_setup, new_user
from api.access.lockout import Lockout, Rate, address_key
from api.access.passwords import Passwords, check_choice
from api.access.roles import NOBODY, Camera, Grant, Principal, Role
from api.access.sessions import Session, Sessions
from api.access.tokens import digest_of, page_token, same
from api.access.trail import Trail
from edge.audit_chain import AuditError
from streams.clock import Clock

log = structlog.get_logger(__name__)
T = TypeVar("T")

PAGE_TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - its name, not a token
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
MOST_WAITING = 8
"""Passwords that are checked or wait for it; one takes some hundredths of a second."""
WRONG = "The name or the password is wrong, or the account is locked for a while."
"""The one answer to every sign-in that fails, so that none tells whether an account exists."""
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration decides who may come in.

    Attributes:
        users: whether everybody is asked who they are; without, this machine may read.
        tls: whether the interface speaks TLS.
        cameras: by id, for scopes.
        unit: the organisation of users for whom none is said.
        open_role: what this machine may do where nobody is asked.
        shared_token: one of the configuration, which may do everything; where it is set, nothing is open.
    """

    users: bool = False
    tls: bool = False
    cameras: Mapping[str, Camera] = field(default_factory=dict)
    unit: str = ""
    open_role: Role = Role.VIEWER
    shared_token: str | None = field(default=None, repr=False)

    @property
    def open(self) -> bool:
        """Whether nobody is asked who they are."""
        return not self.users and self.shared_token is None

    @property
    def cookie(self) -> str:
        """The session cookie's name; with TLS, browsers keep other hosts and paths from setting it."""
        return "__Host-sharpeyes" if self.tls else "sharpeyes"


class Access:
    """Everything that decides who may do what on one node. One loop only.

    Args:
        rules: of the configuration.
        accounts: users and tokens.
        sessions: of people at browsers.
        trail: the audit log.
        clock: monotonic for locks, UTC for what expires.
        passwords: how they are hashed; made when first needed, since that takes a moment.
    """

    def __init__(
        self,
        rules: Rules,
        accounts: Accounts,
        sessions: Sessions,
        trail: Trail,
        clock: Clock,
        passwords: Callable[[], Passwords] = Passwords,
    ) -> None:
        self.rules, self.accounts, self.sessions, self.trail = rules, accounts, sessions, trail
        self._clock = clock
        self._make_passwords = passwords
        self._passwords: Passwords | None = None
        self._making = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, "passwords")
        self._waiting = 0
        self._lockout = Lockout(clock.monotonic)
        self.rate = Rate(clock.monotonic)
        """Tries of addresses to sign in, whichever way."""

    def camera(self, id_: str) -> Camera:
        """A camera as scopes see it; one that does not exist lies in no region."""
        return self.rules.cameras.get(id_) or Camera(id_)

    def session_of(self, request: Request) -> tuple[str, Session] | None:
        """The request's session with its id, where it holds."""
        secret = request.cookies.get(self.rules.cookie, "")
        session = self.sessions.find(secret) if secret else None
        return (secret, session) if session is not None else None

    def principal_of(self, request: Request) -> Principal:
        """Who asks.

        Raises:
            HTTPException: 401 for a token that is none, 403 for a page of another site, 503 where the
                accounts cannot be read.
        """
        try:
            if (brought := request.headers.get("authorization")) is not None:
                return self._of_token(brought)
            if (found := self.session_of(request)) is not None and (who := self._holds(*found)) is not None:
                check_page(request, found[0])
                return who
        except AccountsError as exc:
            log.error("the accounts cannot be read", why=str(exc))
            raise HTTPException(503, "The accounts cannot be read; the node's log says why.") from None
        if not self.rules.open:
            return NOBODY
        if request.method not in SAFE_METHODS and is_foreign(request):
            raise HTTPException(403, "Pages of other sites may not act here.")
        return Principal("-", (Grant(self.rules.open_role),), "loopback")

    def still(self, request: Request, who: Principal) -> bool:
        """Whether somebody who was let in still is who they were: for answers that go on and on."""
        try:
            now = self.principal_of(request)
        except HTTPException:
            return False
        return now == who

    def _of_token(self, header: str) -> Principal:
        scheme, _, secret = header.partition(" ")
        shared = self.rules.shared_token
        if shared is not None and scheme.lower() == "bearer" and same(secret, shared):
            return Principal("http.token", (Grant(Role.ADMIN),), "token", self.rules.unit)
        book = self.accounts.book()
        token = book.token(secret.strip(), self._clock.utc()) if scheme.lower() == "bearer" else None
        if token is None:
            raise HTTPException(401, "That is no token that holds here.", {"WWW-Authenticate": "Bearer"})
        return Principal(token.name, token.parsed(), "token", token.unit or self.rules.unit)

    def _holds(self, secret: str, session: Session) -> Principal | None:
        """Who the session is of, by the account as it is now; None where that has changed."""
        if not session.stamp:
            return session.principal
        user = self.accounts.book().user(session.principal.name)
        if user is None or not same(user.stamp, session.stamp):
            self.sessions.end(secret)
            return None
        return Principal(user.name, user.parsed(), "session", user.unit or self.rules.unit)

    async def sign_in(self, name: str, password: str, origin: str) -> str:
        """Check a name and a password; the new session's id. As slow for a name without an account.

        Raises:
            HTTPException: 401 for a wrong one or while the name is locked, 429 for too many tries, 503.
        """
        self._users_only()
        self.slow_down(origin)
        user = self._book().user(name)
        right = await self._checked(password, user.password if user else None)
        if user is None or not right or self._lockout.locked(name):
            locked = self._lockout.failed(name)
            await self._told_of_failure(name if user else "", origin, locked=locked)
            raise HTTPException(401, WRONG)
        self._lockout.succeeded(name)
        who = Principal(user.name, user.parsed(), "session", user.unit or self.rules.unit)
        await self._record(who, "login", origin)
        return self.sessions.begin(who, user.stamp)

    async def sign_out(self, request: Request, who: Principal) -> None:
        """End the request's session.

        Raises:
            HTTPException: 503 where that cannot be recorded; the session has ended all the same.
        """
        if (found := self.session_of(request)) is not None:
            self.sessions.end(found[0])
            await self._record(who, "logout", origin_of(request))

    async def set_up(self, secret: str, name: str, password: str, origin: str, unit: str = "") -> str:
        """Make the first admin by the one-time link; the new session's id.

        Raises:
            HTTPException: 401 for a link that does not hold, 422 for a name or password that will not do,
                429, 503.
        """
        self._users_only()
        self.slow_down(origin)
        if not self._link_holds(self._book(), secret):
            await self._refused(NOBODY, "setup", origin, outcome="failed", detail="the link does not hold")
            raise HTTPException(
                401, "That link does not hold any more; `sharpeyes users setup` prints another."
            )
        try:
            check_choice(password, name)
            hashed = await self._aside((await self._hasher()).hash, password)
            user = new_user(name, hashed, (str(Role.ADMIN),), unit)
        except (ValueError, AccountsError) as exc:
            raise HTTPException(422, str(exc)) from None
        who = Principal(user.name, user.parsed(), "session", unit or self.rules.unit)
        await self._record(who, "setup", origin, object=name, detail="first admin, by the one-time link")

        def used(book: Book) -> Book:
            if not self._link_holds(book, secret):
                raise AccountsError("that link was used a moment ago")
            return book.with_user(user).with_setup(None)

        try:
            self.accounts.change(used)
        except AccountsError as exc:
            raise HTTPException(409, str(exc)) from None
        return self.sessions.begin(who, user.stamp)

    def setup_link(self) -> str | None:
        """A fresh setup link's secret where nobody administers the node yet; earlier ones hold no more.

        Raises:
            AccountsError: the accounts cannot be read or written.
        """
        if not self.rules.users or self.accounts.book().has_admin:
            return None
        secret, setup = new_setup(self._clock.utc())
        self.accounts.change(lambda book: book.with_setup(setup))
        return secret

    def slow_down(self, origin: str) -> None:
        """Count a try of that address.

        Raises:
            HTTPException: 429, with how long to wait.
        """
        if wait_s := self.rate.take(address_key(origin)):
            raise HTTPException(
                429, "Too many tries from this address.", {"Retry-After": str(int(wait_s) + 1)}
            )

    async def signed_in_elsewhere(self, who: Principal, origin: str) -> str:
        """Begin a session for somebody whom a provider vouches for.

        Raises:
            HTTPException: 503 where that cannot be recorded.
        """
        await self._record(who, "login", origin, detail="single sign-on")
        return self.sessions.begin(who)

    async def turned_away(self, origin: str, why: str) -> None:
        """Record that single sign-on let somebody not in.

        Raises:
            HTTPException: 503 where that cannot be recorded.
        """
        await self._refused(NOBODY, "login", origin, outcome="failed", detail=f"single sign-on: {why}")

    def _users_only(self) -> None:
        if not self.rules.users:
            raise HTTPException(404, "Nobody signs in here: access.users is false.")

    def _link_holds(self, book: Book, secret: str) -> bool:
        setup = book.setup
        fits = same(digest_of(secret), setup.digest if setup else digest_of(""))
        return setup is not None and fits and self._clock.utc() < setup.expires

    async def _checked(self, password: str, kept: str | None) -> bool:
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, "Too many are signing in at once.", {"Retry-After": "2"})
        self._waiting += 1
        try:
            return await self._aside((await self._hasher()).check, password, kept)
        finally:
            self._waiting -= 1

    async def _hasher(self) -> Passwords:
        async with self._making:
            if self._passwords is None:
                self._passwords = await self._aside(self._make_passwords)
            return self._passwords

    async def _aside(self, work: Callable[..., T], *arguments: object) -> T:
        """Do slow work in a thread of its own: whoever floods the sign-in holds up nothing else."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)

    def _book(self) -> Book:
        try:
            return self.accounts.book()
        except AccountsError as exc:
            log.error("the accounts cannot be read", why=str(exc))
            raise HTTPException(503, "The accounts cannot be read; the node's log says why.") from None

    async def _told_of_failure(self, name: str, origin: str, *, locked: bool) -> None:
        """What a name without an account was is not kept: it may be a password in the wrong field."""
        what = "lockout" if locked else "login"
        await self._refused(NOBODY, what, origin, outcome="failed", object=name or "(no such user)")

    async def _refused(self, who: Principal, what: str, origin: str, **more: str) -> None:
        try:
            await self.trail.refusal(who, what, origin, **more)
        except AuditError as exc:
            raise unrecorded(exc) from None

    async def _record(self, who: Principal, what: str, origin: str, **more: str) -> None:
        try:
            await self.trail.record(who, what, origin, **more)
        except AuditError as exc:
            raise unrecorded(exc) from None


def unrecorded(exc: AuditError) -> HTTPException:
    """The answer where something cannot be recorded, and so is not done."""
    log.error("refused: the audit log cannot be written", why=str(exc))
    return HTTPException(503, "This cannot be recorded, so it is not done; the node's log says why.")


def origin_of(request: Request) -> str:
    """The address that asks; a proxy's, behind one."""
    return request.client.host if request.client else "-"


def is_direct(request: Request) -> bool:
    """Whether a program on this machine asks, and not somebody elsewhere through a proxy here."""
    if any(name in request.headers for name in _FORWARDED) or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def is_foreign(request: Request) -> bool:
    """Whether a browser asks on behalf of a page that is not ours."""
    origin = request.headers.get("origin")
    if origin is not None:
        try:
            netloc = urlsplit(origin).netloc
        except ValueError:
            return True
        if not netloc or netloc.lower() != request.headers.get("host", "").lower():
            return True
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def check_page(request: Request, session: str) -> None:
    """Let a session act only through a page of ours.

    Raises:
        HTTPException: 403 for a page of another site, or one without the session's page token.
    """
    if request.method in SAFE_METHODS:
        return
    if is_foreign(request) or not same(request.headers.get(PAGE_TOKEN_HEADER, ""), page_token(session)):
        raise HTTPException(
            403, f"Send {PAGE_TOKEN_HEADER}, as GET /session tells it, from a page of this node."
        )
