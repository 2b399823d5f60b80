"""Changes of cases as they come, for those who watch: one look at the database for all of them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import structlog

from api.center.errors import CenterError
from api.center.model import Change
from api.sse import Missed

log = structlog.get_logger(__name__)

PERIOD_S = 0.5
"""Seconds between two looks while somebody watches."""
PAGE = 500


@dataclass(frozen=True, slots=True)
class Told:
    """A change as it is sent; see `api.sse.Numbered`."""

    change: Change

    @property
    def sequence(self) -> str:
        """The change's id, 20 digits; ids have no gaps."""
        return f"{self.change.id:020d}"

    def to_json(self) -> bytes:
        """One line of JSON."""
        change = self.change
        return json.dumps(
            {
                "id": change.id,
                "at": change.at.isoformat().replace("+00:00", "Z"),
                "case": change.case,
                "version": change.version,
                "what": change.what,
                "level": change.level,
                "state": change.state.value,
            },
            separators=(",", ":"),
        ).encode()


class Feed:
    """Looks for changes while there is a reader, and wakes the readers; all in one asyncio loop.

    Readers hold no queue: each reads on from where it is, so a slow one costs nothing and misses nothing.
    """

    def __init__(
        self,
        changes: Callable[[int, int], Sequence[Change]],
        newest: Callable[[], int],
        period_s: float = PERIOD_S,
    ) -> None:
        """Prepare.

        Args:
            changes: those after an id, oldest first, so many at most; called in threads.
            newest: id of the newest change, 0 where there is none; called in threads.
            period_s: seconds between two looks.
        """
        self._changes = changes
        self._newest = newest
        self._period_s = period_s
        self._readers = 0
        self._head: int | None = None
        self._moved = asyncio.Condition()
        self._closed = False
        self._looking: asyncio.Task[None] | None = None

    async def follow(self, after: int | None = None) -> AsyncGenerator[Told | Missed]:
        """Changes after an id, or from now on; ends when the feed is closed.

        Where the changes after that id are not kept any more, or the ids have not got so far, as after an
        older database was put back, that is told, and it goes on from the newest.
        """
        self._readers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="feed")
        try:
            last = after if after is not None else await self._other_than(-1)
            while not self._closed:
                head = await self._other_than(last)
                page = await asyncio.to_thread(self._page, last) if head > last else ()
                if page is None:
                    await asyncio.sleep(self._period_s)
                    continue
                # not beyond the newest that is known of: else that would seem to have gone back
                known = [change for change in page if change.id <= head]
                if not known and head != last:
                    yield Missed(last, head + 1)
                    last = head
                for change in known:
                    last = change.id
                    yield Told(change)
        finally:
            self._readers -= 1

    async def close(self) -> None:
        """End every reader; twice is safe."""
        self._closed = True
        async with self._moved:
            self._moved.notify_all()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _other_than(self, last: int) -> int:
        """Wait until the newest id is another, or the feed is closed, which gives `last`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._closed or self._head not in (None, last))
            return last if self._closed or self._head is None else self._head

    async def _look(self) -> None:
        while not self._closed and self._readers:
            try:
                newest = await asyncio.to_thread(self._newest)
            except CenterError as exc:
                log.warning("changes cannot be read", reason=str(exc))
            else:
                if newest != self._head:
                    async with self._moved:
                        self._head = newest
                        self._moved.notify_all()
            await asyncio.sleep(self._period_s)
        self._head = None

    def _page(self, last: int) -> Sequence[Change] | None:
        """The next changes; None where the database is away."""
        try:
            return self._changes(last, PAGE)
        except CenterError:
            return None
