"""Sessions of people at browsers: on the node's side, in memory, bounded in number and time."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from api.access.roles import Principal
from api.access.tokens import digest_of, new_secret

MOST, MOST_OF_ONE = 512, 16
"""Sessions at once, and those of one user; the one unused for longest ends first."""


@dataclass(slots=True)
class Session:
    """A session.

    Attributes:
        principal: who it is of, as at the login.
        stamp: of the local account as it was then; empty for single sign-on, whose provider says what holds.
        begun_s, used_s: monotonic seconds.
    """

    principal: Principal
    stamp: str
    begun_s: float
    used_s: float


class Sessions:
    """All sessions by the hash of their id. One loop only.

    Args:
        now: monotonic seconds.
        idle_s: a session unused for so many seconds ends.
        most_s: every session ends after so many seconds.
    """

    def __init__(self, now: Callable[[], float], idle_s: float, most_s: float) -> None:
        self._now, self._idle_s, self._most_s = now, idle_s, most_s
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, principal: Principal, stamp: str = "") -> str:
        """A new session; its id, 256 random bits, is told nowhere else."""
        own = [key for key, one in self._sessions.items() if one.principal.name == principal.name]
        for key in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._sessions[key]
        if len(self._sessions) >= MOST:
            self._sessions.popitem(last=False)
        secret, now = new_secret(), self._now()
        self._sessions[digest_of(secret)] = Session(principal, stamp, now, now)
        return secret

    def find(self, secret: str) -> Session | None:
        """The session of that id, now used; None where there is none, or none any more."""
        key = digest_of(secret)
        session = self._sessions.get(key)
        if session is None:
            return None
        now = self._now()
        if now - session.used_s >= self._idle_s or now - session.begun_s >= self._most_s:
            del self._sessions[key]
            return None
        session.used_s = now
        self._sessions.move_to_end(key)
        return session

    def end(self, secret: str) -> None:
        """End that session; twice is safe."""
        self._sessions.pop(digest_of(secret), None)
