"""The one dependency that every route declares: `needs(...)` what it lets be done, or `public(...)` and why.

    @router.get("/cameras/{camera_id}/snapshot", dependencies=[needs("video.snapshot", camera="camera_id")])

or, where the route wants to know who asks, `who: Annotated[Principal, needs("cameras.read")]`. What needs
a reason (`PERMISSIONS[...].reason`) demands one and is written to the audit log before the route's own
code runs.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.routing import iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPBearer

from api.access.gate import Access, is_direct, is_foreign, origin_of, unrecorded
from api.access.roles import PERMISSIONS, Permission, Principal
from edge.audit_chain import AuditError, is_plain

REASON_HEADER = "X-Audit-Reason"
SHORTEST_REASON, LONGEST_REASON = 10, 500
WHO_NEEDED = "Sign in, or bring a token: docs/access.md."

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="A machine's token.")
_cookie = APIKeyCookie(
    name="__Host-sharpeyes", auto_error=False, scheme_name="session", description="A session."
)


class UnruledError(Exception):
    """A route declares no rule, or more than one; the text names it."""


class Public:
    """Anybody may; says why."""

    def __init__(self, why: str) -> None:
        self.why = why

    async def __call__(self) -> None:
        """Let everybody pass."""


class Needs:
    """Somebody must be allowed something, maybe with one camera. See `needs`."""

    def __init__(
        self, permission: Permission, camera: str | None, *, follow_up: bool = False, loopback: bool = False
    ) -> None:
        self.permission, self.camera = permission, camera
        self.follow_up, self.loopback = follow_up, loopback

    @property
    def recorded(self) -> bool:
        """Whether each request is written to the audit log."""
        return self.permission.recorded and not self.follow_up

    @property
    def reason(self) -> bool:
        """Whether each request must say why."""
        return self.permission.reason and not self.follow_up

    async def __call__(
        self,
        request: Request,
        _token: Annotated[object, Depends(_bearer)],
        _session: Annotated[object, Depends(_cookie)],
    ) -> Principal:
        """Who asks, if they may.

        Raises:
            HTTPException: 401, 403 or 503, see `admit`.
        """
        return await self.admit(request, None)

    async def admit(self, request: Request, why: str | None) -> Principal:
        """Who asks, if they may; recorded first where it must be.

        Raises:
            HTTPException: 401 where nobody is known, 403 where they may not, 422 without a reason where
                one is needed, 503 where it cannot be recorded.
        """
        access = access_of(request)
        who = access.principal_of(request)
        camera = request.path_params[self.camera] if self.camera is not None else None
        if not self._allowed(access, who, request, camera):
            await self._refuse(access, who, request, camera or "")
        if self.reason:
            check_reason(why)
        if self.recorded:
            try:
                await access.trail.record(
                    who,
                    self.permission.name,
                    origin_of(request),
                    outcome="allowed",
                    object=camera or request.url.path,
                    why=why or "",
                    detail=request.url.path if camera else "",
                )
            except AuditError as exc:
                raise unrecorded(exc) from None
        return who

    def _allowed(self, access: Access, who: Principal, request: Request, camera: str | None) -> bool:
        if self.loopback and not who.known and (access.rules.open or is_direct(request)):
            return True
        if self.permission.recorded and not who.known:
            return False
        return who.may(self.permission.name, access.camera(camera) if camera is not None else None)

    async def _refuse(self, access: Access, who: Principal, request: Request, camera: str) -> None:
        if not who.known:
            raise HTTPException(401, WHO_NEEDED, {"WWW-Authenticate": "Bearer"})
        if self.permission.recorded:
            try:
                await access.trail.refusal(
                    who,
                    self.permission.name,
                    origin_of(request),
                    outcome="refused",
                    object=camera or request.url.path,
                    detail=request.url.path if camera else "",
                )
            except AuditError as exc:
                raise unrecorded(exc) from None
        raise HTTPException(403, f"{who.name} may not do this: it needs {self.permission.name}.")


class NeedsReason(Needs):
    """The same for what needs a reason, in a header (percent-encoded UTF-8) or in the query."""

    async def __call__(
        self,
        request: Request,
        _token: Annotated[object, Depends(_bearer)],
        _session: Annotated[object, Depends(_cookie)],
        reason: Annotated[
            str | None,
            Query(description="Why, 10 to 500 characters, for the audit log; or in X-Audit-Reason."),
        ] = None,
        x_audit_reason: Annotated[
            str | None, Header(description="Why, percent-encoded UTF-8; or `reason` in the query.")
        ] = None,
    ) -> Principal:
        """Who asks, if they may and say why.

        Raises:
            HTTPException: 401, 403, 422 or 503, see `Needs.admit`.
        """
        return await self.admit(request, _decoded(x_audit_reason) if x_audit_reason is not None else reason)


def needs(
    permission: str, camera: str | None = None, *, follow_up: bool = False, loopback: bool = False
) -> Any:
    """The dependency of a route that lets something be done; gives the `Principal`.

    Args:
        permission: a name of `PERMISSIONS`.
        camera: the path parameter that holds the camera's id; None where the route is not about one
            camera, and a route that lists then leaves out what `who.may(permission, access.camera(id))`
            denies.
        follow_up: the request belongs to one that was recorded with its reason (a WHEP session's PATCH).
        loopback: programs on this machine may do it without showing who they are.

    Raises:
        UnruledError: there is no such permission, or it cannot be given like that.
    """
    known = PERMISSIONS.get(permission)
    if known is None:
        raise UnruledError(f"there is no permission {permission!r}; api/access/roles.py lists them")
    if loopback and known.recorded:
        raise UnruledError(f"{permission} is recorded, so somebody in particular must do it")
    kind = NeedsReason if known.reason and not follow_up else Needs
    return Depends(kind(known, camera, follow_up=follow_up, loopback=loopback))


def public(why: str) -> Any:
    """The dependency of a route that is for everybody.

    Args:
        why: the reason, for whoever reads the list of such routes.
    """
    return Depends(Public(why))


def access_of(request: Request) -> Access:
    """What decides on this application."""
    access = request.app.state.access
    assert isinstance(access, Access)  # noqa: S101 - create_app sets it
    return access


def own_pages_only(request: Request) -> None:
    """For routes that sign in: a page of another site may not.

    Raises:
        HTTPException: 403.
    """
    if is_foreign(request):
        raise HTTPException(403, "Pages of other sites may not act here.")


def check_reason(why: str | None) -> None:
    """Whether that is a reason for the audit log.

    Raises:
        HTTPException: 422, with what one is.
    """
    if (
        why is None
        or not len(why.strip()) >= SHORTEST_REASON
        or len(why) > LONGEST_REASON
        or not is_plain(why)
    ):
        raise HTTPException(
            422,
            f"Say why, in {SHORTEST_REASON} to {LONGEST_REASON} characters on one line: {REASON_HEADER}, "
            "percent-encoded, or `reason` in the query. It is written to the audit log.",
        )


def _decoded(header: str) -> str:
    try:
        return unquote(header, errors="strict")
    except UnicodeDecodeError:
        return ""


def rules_of(app: FastAPI) -> Iterator[tuple[str, str, Needs | Public]]:
    """Method, path and rule of every route.

    Raises:
        UnruledError: a route declares none, or more than one.
    """
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        found = list(_rules_in(dependant.dependencies)) if dependant is not None else []
        if len(found) != 1:
            raise UnruledError(
                f"the route {context.path} declares {len(found)} rules; it must be one, needs(...)"
                " or public(...)"
            )
        for method in sorted(context.methods or ()):
            yield method, str(context.path), found[0]


def _rules_in(dependencies: Sequence[Any]) -> Iterator[Needs | Public]:
    for one in dependencies:
        if isinstance(one.call, Needs | Public):
            yield one.call
        yield from _rules_in(one.dependencies)


def check_rules(app: FastAPI) -> None:
    """Let no application start in which a route has no rule.

    Raises:
        UnruledError: names the route.
    """
    for _ in rules_of(app):
        pass
