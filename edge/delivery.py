"""All that brings events to the centre and the centre's words back, as one part of the node."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edge.config import Config
from edge.errors import OutboxError
from edge.events import Event, EventContext, gap_events
from edge.outbox import Outbox, OutboxCounts
from edge.precision import Precision, RuleVerdicts
from edge.status import FeedbackStatus, Profile
from streams.clock import Clock

if TYPE_CHECKING:
    # redis-py takes a tenth of a second to load: in `prepare`, beside what the first picture waits for
    from edge.answers import Verdict
    from edge.feedback import Feedback
    from edge.publisher import Publisher, PublisherStatus, Signs

log = structlog.get_logger(__name__)

EXPIRE_S = 60.0
"""Seconds between two looks for events that have grown too old."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How delivery goes.

    Attributes:
        outbox: what waits and went through.
        publisher: how publishing goes.
        feedback: what came from the centre.
        verdicts: on the rules that were judged.
    """

    outbox: OutboxCounts
    publisher: "PublisherStatus"
    feedback: FeedbackStatus
    verdicts: Sequence[RuleVerdicts]


class Delivery:
    """Outbox, signing, publisher and feedback of a node; it hears what the centre says and acts on it.

    Open the outbox at once, so that events can be kept; connect when the address is known. Both are closed by
    the stack they were given, the connection first.

    Attributes:
        outbox: where events are kept; there after `open`.
    """

    outbox: Outbox
    _publisher: "Publisher"
    _feedback: "Feedback"
    _signer: "Signs"
    _precision: Precision

    def __init__(
        self,
        config: Config,
        speaker: EventContext,
        clock: Clock,
        *,
        told: Callable[[Sequence[Event]], None],
        set_profile: Callable[[Profile], None],
        judged: Callable[[Sequence[RuleVerdicts]], None],
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: of the node.
            speaker: the node, as it speaks of gaps.
            clock: host time and wall time.
            told: hears of events that the outbox made itself; called on the tending thread.
            set_profile: told which thresholds hold, from any thread.
            judged: told of all verdicts so far, at the start and whenever one is added, from any thread.
        """
        self._config = config
        self._clock = clock
        self._told = told
        self._set_profile = set_profile
        self._judged = judged
        self._gap = gap_events(speaker, clock.utc)
        self._expired_s = clock.monotonic()
        self._warned = False

    def open(self, stack: AsyncExitStack) -> None:
        """Open the outbox.

        Raises:
            OutboxError: with the file and the cure.
        """
        wanted = self._config.outbox
        path = self._config.node.data_dir / "outbox.db"
        self.outbox = stack.enter_context(
            Outbox(path, wanted.max_bytes, self._clock, max_age_s=wanted.max_age_s, until=wanted.until)
        )

    def prepare(self) -> None:
        """Load the key that signs, or make one, and libraries: a moment that other threads can use.

        Raises:
            SigningError: it cannot be read or made.
        """
        import edge.feedback
        import edge.publisher  # noqa: F401 - loaded here, used in `connect`
        from edge.signing import Signer

        self._signer = Signer.open(self._config.node.data_dir)
        log.info("events are signed", key=self._signer.key_id)

    async def connect(self, stack: AsyncExitStack, url: str, max_entries: int) -> None:
        """Begin to publish and to listen, in the running loop.

        Args:
            stack: closes both.
            url: of Redis, credentials included.
            max_entries: length to which Redis may trim the stream, roughly.

        Raises:
            PublishError: the URL is malformed.
        """
        from edge.feedback import Feedback, Source
        from edge.publisher import Destination, Publisher, PublisherOptions

        node = self._config.node
        self._precision = Precision(node.data_dir / "verdicts.json", self._config.cameras)
        self._judged(self._precision.verdicts())
        self._publisher = Publisher(
            self.outbox,
            Destination(url, node.district, max_entries),
            PublisherOptions(replay_per_s=self._config.redis.replay_per_s),
            signer=self._signer,
            clock=self._clock,
        )
        await stack.enter_async_context(self._publisher)
        source = Source(url, node.district, node.id, node.data_dir)
        self._feedback = Feedback(source, self, clock=self._clock)
        self._set_profile(self._feedback.status().profile)
        await stack.enter_async_context(self._feedback)

    async def ended(self) -> None:
        """Wait until publishing ends; raises what ended it if that was no stop."""
        await self._publisher.wait()

    def tend(self) -> None:
        """Report what was given up; now and then give up what is too old. Call it twice a second."""
        now_s = self._clock.monotonic()
        try:
            if now_s - self._expired_s >= EXPIRE_S:
                self._expired_s = now_s
                self.outbox.expire()
            if events := self.outbox.report_gaps(self._gap):
                self._told(events)
        except OutboxError as exc:
            # saving events meets the same disk, waits for it and says so; here it is tried again
            log.warning("gaps cannot be reported yet", reason=str(exc))

    @property
    def display_url(self) -> str:
        """Where events go, without credentials."""
        return self._publisher.display_url

    def status(self) -> "PublisherStatus":
        """How publishing goes."""
        return self._publisher.status()

    def sample(self) -> Delivered:
        """How all of it goes."""
        return Delivered(
            self.outbox.counts(),
            self._publisher.status(),
            self._feedback.status(),
            self._precision.verdicts(),
        )

    # -- what the centre says -----------------------------------------------------------------------------

    def receipted(self, through: int) -> None:
        """The centre has everything up to a number: it need not be kept any longer."""
        self.outbox.receipted(through)
        if self._config.outbox.until == "stored" and not self._warned:
            self._warned = True
            log.warning(
                "a centre receipts events, but they are kept until Redis has them: what that loses is lost",
                cure="outbox.until: receipted",
            )

    def replay(self, first: int, last: int) -> None:
        """The centre lacks these: they go out again, or are said to be lost."""
        again = self.outbox.ask_again(first, last)
        log.info("the centre asks for events again", first=first, last=last, kept=again)

    def verdict(self, verdict: "Verdict") -> bool:
        """The centre has judged an incident."""
        known = self._precision.add(verdict.incident, verdict.camera, verdict.rule, verdict.verdict)
        self._judged(self._precision.verdicts())
        return known

    def profile(self, profile: Profile) -> None:
        """The centre has said which thresholds hold."""
        log.warning("threshold profile set by the centre", profile=profile)
        self._set_profile(profile)
