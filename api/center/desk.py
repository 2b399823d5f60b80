"""What the HTTP interface works with, and who may use it."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.center.exports import Gbt31000
from api.center.feed import Feed
from api.center.model import RegionTree, Triage
from api.center.store import Store
from api.center.stream import DistrictStream

_bearer = HTTPBearer(auto_error=False, description="The token of http.token, where one is configured.")


@dataclass(frozen=True, slots=True)
class Desk:
    """The centre as its HTTP interface sees it.

    Attributes:
        store: cases, keys, numbers.
        stream: Redis.
        feed: changes as they come.
        triage: the tables.
        regions: the tree.
        gbt31000: field names and codes of that export.
        missing: what keeps the centre from its work, in plain words; empty where nothing does.
        metrics: body and content type for Prometheus.
        token: what a request must bring; None where nothing is asked for.
        version: of the program.
    """

    store: Store
    stream: DistrictStream
    feed: Feed
    triage: Triage
    regions: RegionTree
    gbt31000: Gbt31000
    missing: Callable[[], tuple[str, ...]]
    metrics: Callable[[], tuple[bytes, str]]
    token: str | None = field(default=None, repr=False)
    version: str = "0"


class Doorman:
    """A dependency that lets nobody in without the token, and no other site's pages act."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        """Pass, or raise the answer.

        Raises:
            HTTPException: 401 without the token, 403 for a page of another site.
        """
        if self._token is not None:
            brought = credentials.credentials.encode() if credentials else b""
            if not hmac.compare_digest(brought, self._token):
                raise HTTPException(
                    401,
                    "A token is needed: Authorization: Bearer, with what http.token of the centre's "
                    "configuration holds.",
                    {"WWW-Authenticate": "Bearer"},
                )
        if request.method not in ("GET", "HEAD") and _foreign(request):
            raise HTTPException(403, "Pages of other sites may not act here.")


def _foreign(request: Request) -> bool:
    """Whether a browser sends this for a page that is not ours."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return True
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
