"""Which server of a group to use next, and what its members have told. Opens nothing."""

import re
from collections.abc import Sequence

from edge.redis_address import Group, Host

_NAME = re.compile(r"[A-Za-z0-9._:%-]+")


class Route:
    """What is known of where a group keeps the stream.

    Attributes:
        group: the servers, as configured.
        now: the server that was used last; None before the first.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.now: Host | None = None
        self._order = list(group.hosts)
        self._owner: Host | None = None
        self._detour: Host | None = None

    @property
    def sentinels(self) -> Sequence[Host]:
        """The sentinels in the order in which to ask them."""
        return tuple(self._order)

    def knew(self, sentinel: Host) -> None:
        """It knew the master: it is asked first the next time."""
        self._order.remove(sentinel)
        self._order.insert(0, sentinel)

    def detour(self) -> Host | None:
        """The server that is to be asked out of turn, because it is taking the slot over; told once."""
        detour, self._detour = self._detour, None
        return detour

    def nodes(self) -> Sequence[Host]:
        """The cluster's nodes in the order in which to try them; the slot's owner, where known, is first."""
        return tuple(dict.fromkeys([self._owner, *self._order] if self._owner else self._order))

    def lost(self, node: Host) -> None:
        """It does not answer: it is not the owner any more, or not for long, and is tried last."""
        if node == self._owner:
            self._owner = None
        if node in self._order:
            self._order.remove(node)
            self._order.append(node)

    def point(self, name: str, port: int, *, once: bool) -> None:
        """A node has said who holds the slot.

        Args:
            name: of that server; empty or `?` for the one that has said so.
            port: of that server.
            once: whether it is only taking the slot over (`ASK`), or owns it (`MOVED`).

        Raises:
            ValueError: that is no address.
        """
        here = self.now.name if self.now else self._order[0].name
        host = host_of(here if name in ("", "?") else name, port)
        if once:
            self._detour = host
        else:
            self._owner, self._detour = host, None


def host_of(name: str, port: int) -> Host:
    """A server as another one named it.

    Raises:
        ValueError: that is no address. The text quotes nothing of it.
    """
    bare = name.strip("[]")
    if not _NAME.fullmatch(bare) or not 0 < port < 65536:
        raise ValueError("a server named another one that has no address")
    return Host(bare, port)
