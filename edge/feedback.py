"""What the centre says to this node: receipts, wishes for replays, verdicts, the threshold profile.

On a connection of its own, so that waiting for words never holds up events; what is read is kept, so that a
restart goes on where it was.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Annotated, Protocol, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field

from edge.answers import EVERYBODY, MESSAGE_FIELD, Message, ProfileChange, Replay, Verdict, message_of
from edge.envelope import stream_key
from edge.errors import EdgeError
from edge.kept import keep, read_kept
from edge.redis_link import Entry, ForbiddenError, RedisLink
from edge.status import FeedbackStatus, Profile
from edge.tasks import cancel
from streams.backoff import Backoff
from streams.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

POLL_S = 2.0
"""Seconds between two looks at the receipts; a message is read as it comes."""

COUNT = 500
"""Messages read in one go."""

FORBIDDEN_S = 60.0
"""Seconds until it is tried again whether the user may read by now."""

KEEP_S = 60.0
"""Seconds between two writes of how far was read, where nothing was said to this node."""

FILE = "feedback.json"
_START = "0-0"
_DIGITS = 15


def receipts_key(district: str) -> str:
    """Key of the hash in which the centre writes what it has, by node.

    Example:
        >>> receipts_key("360103")
        'sharpeyes:{360103}:receipts'
    """
    return stream_key(district).removesuffix("events") + "receipts"


def feedback_key(district: str) -> str:
    """Key of the stream in which the centre speaks to the nodes.

    Example:
        >>> feedback_key("360103")
        'sharpeyes:{360103}:feedback'
    """
    return stream_key(district).removesuffix("events") + "feedback"


def just_before(entry_id: str) -> str:
    """The id before a stream entry's, so that reading after it begins with that entry.

    Example:
        >>> just_before("1700000000000-3"), just_before("1700000000000-0")
        ('1700000000000-2', '1699999999999-18446744073709551615')
    """
    ms, number = map(int, entry_id.split("-"))
    return f"{ms}-{number - 1}" if number else f"{max(ms - 1, 0)}-{2**64 - 1}"


class Listener(Protocol):
    """Who acts on what the centre says. Called in a thread, one call at a time."""

    def receipted(self, through: int) -> None:
        """The centre has stored everything up to a number, or knows that it is lost."""
        ...

    def replay(self, first: int, last: int) -> None:
        """It asks for these numbers again, inclusive."""
        ...

    def verdict(self, verdict: Verdict) -> bool:
        """It has judged an incident; False if this node knows no such rule."""
        ...

    def profile(self, profile: Profile) -> None:
        """Which thresholds hold from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where the centre's words are.

    Attributes:
        url: of Redis, credentials included.
        district: six digits; names the keys.
        node: this node's id.
        folder: where the last message's id and the profile are kept.
    """

    url: str = field(repr=False)
    district: str
    node: str
    folder: Path


@dataclass(frozen=True, slots=True)
class FeedbackOptions:
    """How patient the listening is.

    Attributes:
        timeout_s: seconds for connecting and each answer.
        poll_s: seconds between two looks at the receipts.
        retry_s: seconds before the first retry, at most.
        retry_cap_s: seconds between later retries, at most.
        forbidden_s: seconds until it is tried again whether the user may read by now.
    """

    timeout_s: float = 5.0
    poll_s: float = POLL_S
    retry_s: float = 0.2
    retry_cap_s: float = 5.0
    forbidden_s: float = FORBIDDEN_S


class _Kept(BaseModel):
    """What outlives a restart: of which server, the last message's id, the profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str = ""
    last: Annotated[str, Field(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")] = _START
    profile: Profile = "usual"


class Feedback:
    """Reads receipts every `poll_s` and messages as they come. Start it in the loop that shall run it.

    A message may be acted upon twice, when the node ends in between: each of them bears that. One that is
    none of the schema is counted and left out. A user who may not read is told once how to be allowed;
    events go out meanwhile.
    """

    def __init__(
        self,
        source: Source,
        listener: Listener,
        options: FeedbackOptions | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare, and take up the kept profile; nothing is read from Redis before `start`.

        Args:
            source: where to read.
            listener: who acts on it.
            options: time-outs and intervals.
            clock: host time, for when to try again what was forbidden.
            rng: jitter of the retries.

        Raises:
            PublishError: the URL is malformed.
        """
        self._options = options or FeedbackOptions()
        self._source = source
        self._listener = listener
        self._clock = clock or SystemClock()
        self._link = RedisLink(source.url, self._options.timeout_s)
        self._keys = {key: make(source.district) for key, make in _KEYS.items()}
        self._path = source.folder / FILE
        self._kept = read_kept(self._path, _Kept)
        if self._kept.server != self._link.display_url:
            # ids of another server say nothing about this one's
            self._kept = _Kept(server=self._link.display_url, profile=self._kept.profile)
        self._history = self._kept.last == _START
        self._unsure = True
        self._keep_s = 0.0
        self._counts: Counter[str] = Counter()
        self._again_s: dict[str, float] = {}
        self._status = FeedbackStatus(profile=self._kept.profile)
        self._backoff = Backoff(
            rng or random.Random(),  # noqa: S311 - jitter, no secret
            self._options.retry_s,
            self._options.retry_cap_s,
        )
        self._stopping = asyncio.Event()
        self._acting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def status(self) -> FeedbackStatus:
        """What came so far."""
        return replace(self._status, messages=MappingProxyType(dict(self._counts)))

    def start(self) -> None:
        """Begin to listen, in the running loop."""
        if self._task is not None:
            raise RuntimeError("the feedback was started before")
        self._task = asyncio.get_running_loop().create_task(self._run(), name="feedback")

    async def stop(self) -> None:
        """End as soon as what was heard is done and kept, and close; twice is safe."""
        self._stopping.set()
        if self._task is not None:
            async with self._acting:
                await cancel(self._task)
        await self._link.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._look()
            except (EdgeError, OSError) as exc:
                self._note(str(exc))
                await self._sleep(self._backoff.next_s())
            except Exception as exc:
                # nothing that the centre says may keep events from going out
                log.exception("the centre's words could not be followed")
                self._note(f"{type(exc).__name__} while following the centre's words")
                await self._sleep(self._backoff.next_s())

    async def _look(self) -> None:
        """One look at the receipts, and one at the messages, which waits for the next to come."""
        receipts = await self._allowed("receipts", self._take_receipt)
        messages = await self._allowed("feedback", self._take_messages)
        if receipts and messages:
            self._note(None)
        if not messages:
            # waiting for a message is what sets the pace otherwise
            await self._sleep(self._options.poll_s)

    async def _allowed(self, what: str, take: Callable[[], Awaitable[None]]) -> bool:
        """Take it if the user may, which is looked at anew now and then; whether it was."""
        if self._clock.monotonic() < self._again_s.get(what, -1.0):
            return False
        try:
            await take()
        except ForbiddenError as exc:
            if what not in self._again_s:
                log.warning(
                    "the centre's words cannot be read; events go out all the same",
                    what=self._keys[what],
                    reason=str(exc),
                    cure=f"ACL SETUSER <user> %R~{self._keys[what]} {_RIGHTS[what]}",
                )
            self._again_s[what] = self._clock.monotonic() + self._options.forbidden_s
            self._status = replace(self._status, connected=False, last_error=str(exc))
            return False
        if self._again_s.pop(what, None) is not None:
            log.info("the centre's words can be read by now", what=self._keys[what])
        return True

    async def _take_receipt(self) -> None:
        raw = await self._link.field(self._keys["receipts"], self._source.node)
        if raw is None:
            return
        if not raw.isdigit() or len(raw) > _DIGITS:
            self._malformed(self._keys["receipts"])
            return
        through = int(raw)
        if through != self._status.receipted:
            async with self._acting:
                await asyncio.to_thread(self._listener.receipted, through)
            self._status = replace(self._status, receipted=through)

    async def _take_messages(self) -> None:
        if self._unsure:
            await self._make_sure()
        # what was said before this node first listened is told apart from what comes while it waits
        wait_s = 0.0 if self._history else self._options.poll_s
        entries = await self._link.read(self._keys["feedback"], self._kept.last, COUNT, wait_s)
        if entries:
            async with self._acting:
                await asyncio.to_thread(self._follow, entries)
        if len(entries) < COUNT:
            self._history = False

    async def _make_sure(self) -> None:
        """After each connecting: begin anew where the stream has nothing from the last message on.

        Then it is another stream: the server came back empty, maybe with an earlier clock, whose ids would
        not be heard until that clock catches up.
        """
        last = self._kept.last
        if last != _START and not await self._link.read(self._keys["feedback"], just_before(last), 1, 0.0):
            log.info("the centre's words begin anew: the server lost them")
            self._kept = self._kept.model_copy(update={"last": _START})
            self._history = True
        self._unsure = False

    def _follow(self, entries: Sequence[Entry]) -> None:
        """Act on messages in their order, then keep where that ended.

        Words to other nodes are not worth a write each: they may be read twice.

        Raises:
            OutboxError, OSError: the disk refuses; they are read again.
        """
        profile, heard = self._kept.profile, False
        for entry in entries:
            message = message_of(entry.fields.get(MESSAGE_FIELD))
            if message is None:
                self._malformed(entry.id)
            elif message.node in (self._source.node, EVERYBODY):
                self._act(message)
                profile = message.profile if isinstance(message, ProfileChange) else profile
                heard = heard or message.node != EVERYBODY or profile != self._kept.profile
        kept = _Kept(server=self._kept.server, last=entries[-1].id, profile=profile)
        now_s = self._clock.monotonic()
        if heard or now_s >= self._keep_s:
            keep(self._path, kept)
            self._keep_s = now_s + KEEP_S
        self._kept = kept

    def _act(self, message: Message) -> None:
        kind: str = message.kind
        if isinstance(message, Replay):
            # what was asked for long ago is asked for again if it is still missing
            if not self._history:
                self._listener.replay(message.first, message.last)
        elif isinstance(message, Verdict):
            if not self._listener.verdict(message):
                kind = "unknown"
        elif isinstance(message, ProfileChange):
            if message.profile != self._status.profile:  # it is said again every minute
                self._listener.profile(message.profile)
            self._status = replace(self._status, profile=message.profile)
        self._counts[kind] += 1

    def _malformed(self, where: str) -> None:
        if not self._counts["malformed"]:
            log.warning("the centre said what is none of the schema; it is left out", where=where)
        self._counts["malformed"] += 1

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _note(self, error: str | None) -> None:
        before = self._status
        self._status = replace(before, connected=error is None, last_error=error)
        if error is None:
            self._backoff.reset()
            return
        self._unsure = True
        if error != before.last_error:
            log.warning("the centre's words do not arrive", reason=error)


_KEYS: Mapping[str, Callable[[str], str]] = {"receipts": receipts_key, "feedback": feedback_key}
_RIGHTS: Mapping[str, str] = {"receipts": "+hget", "feedback": "+xread"}
