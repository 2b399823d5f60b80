"""What `redis.url` may say: one server, sentinels that know the master, or a cluster. Opens nothing."""

import difflib
import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from edge.errors import PublishError

SERVER_SCHEMES = ("redis", "rediss", "unix")
GROUP_SCHEMES = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
"""Schemes of several servers: whom to ask at each connection where the district's stream is."""

_PORTS = {"sentinel": 26379, "cluster": 6379}
_GROUP = re.compile(
    r"(?P<tls>rediss?)\+(?P<kind>sentinel|cluster)://"
    r"(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^@/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_SERVICE = re.compile(r"/(?P<service>[A-Za-z0-9._-]+)(?:/(?P<db>[0-9]{1,5}))?/?")


class Host(NamedTuple):
    """Where a server listens: name or address without brackets, and port."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Group:
    """Several servers, of which one holds the stream at a time.

    Attributes:
        kind: whether the hosts are sentinels or nodes of a cluster.
        hosts: whom to ask, in the URL's order.
        service: the name under which sentinels know the master; empty for a cluster.
        display: the URL without credentials and options.
    """

    kind: Literal["sentinel", "cluster"]
    hosts: tuple[Host, ...]
    service: str
    display: str
    _scheme: str
    _database: str
    _user: str = field(repr=False)
    _query: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """Read the URL of a group; None for that of one server.

        Raises:
            PublishError: it is malformed. The text quotes nothing of it.
        """
        if not _scheme_of(url).startswith(("redis+", "rediss+")):
            return None
        if fault := fault_of(url):
            raise PublishError(f"redis.url {fault}")
        parts = _GROUP.fullmatch(url)
        assert parts is not None  # noqa: S101 - else there would be a fault
        kind: Literal["sentinel", "cluster"] = "sentinel" if parts["kind"] == "sentinel" else "cluster"
        hosts = tuple(_host(text, _PORTS[kind]) for text in parts["hosts"].split(","))
        named = _SERVICE.fullmatch(parts["path"] or "") if kind == "sentinel" else None
        service, database = (named["service"], named["db"] or "0") if named else ("", "0")
        where = f"{parts['tls']}+{kind}://{','.join(map(str, hosts))}"
        return cls(
            kind=kind,
            hosts=hosts,
            service=service,
            display=f"{where}/{service}/{database}" if service else where,
            _scheme=parts["tls"],
            _database=database,
            _user=parts["user"] or "",
            _query=parts["query"] or "",
        )

    def url_of(self, host: Host) -> str:
        """URL of the server that holds the stream, credentials and options included."""
        user = f"{self._user}@" if self._user else ""
        return f"{self._scheme}://{user}{host}/{self._database}{self._query}"

    def url_of_sentinel(self, host: Host, *, introduced: bool) -> str:
        """URL of a sentinel, which has no databases; with the user and password if `introduced`."""
        user = f"{self._user}@" if self._user and introduced else ""
        return f"{self._scheme}://{user}{host}{self._query}"


def fault_of(url: str) -> str:
    """What is wrong with a `redis.url`, in words that follow its name; empty if nothing is. Quotes nothing.

    >>> fault_of("redis+sentinel://h1:26379,h2:26379")
    'names no service: write redis+sentinel://host:port,host:port/service'
    """
    scheme = _scheme_of(url)
    if scheme in GROUP_SCHEMES:
        return _group_fault(url)
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # it raises on a malformed port
    except ValueError:
        return _MALFORMED
    if scheme not in SERVER_SCHEMES:
        near = difflib.get_close_matches(scheme, (*SERVER_SCHEMES, *GROUP_SCHEMES), 1)
        hint = f"; did you mean {near[0]}://?" if near else ""
        return f"must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://{hint}"
    if scheme == "unix" and not parts.path:
        return "names no socket: write unix:///path/to/socket"
    if scheme != "unix" and not parts.hostname:
        return "names no host"
    return ""


_MALFORMED = "host or port is malformed; a '/', '?' or '#' in the password is written %2F, %3F, %23"


def _group_fault(url: str) -> str:
    parts = _GROUP.fullmatch(url)
    if parts is None:
        return _MALFORMED
    if not parts["hosts"]:
        return "names no host"
    for text in parts["hosts"].split(","):
        host = _HOST.fullmatch(text)
        if host is None or not 0 < int(host["port"] or 1) < 65536:
            return _MALFORMED
    if parts["kind"] == "sentinel" and not _SERVICE.fullmatch(parts["path"] or ""):
        return "names no service: write redis+sentinel://host:port,host:port/service"
    if parts["kind"] == "cluster" and (parts["path"] or "/") not in ("/", "/0"):
        return "names a database: a cluster has none but 0"
    return ""


def _scheme_of(url: str) -> str:
    head, found, _ = url.partition("://")
    return head.lower() if found else ""


def _host(text: str, port: int) -> Host:
    parts = _HOST.fullmatch(text)
    assert parts is not None  # noqa: S101 - else there would be a fault
    return Host(unquote(parts["host"]).strip("[]"), int(parts["port"] or port))
