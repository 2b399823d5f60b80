"""What the centre does beside taking events in: receipts, replays, deadlines, words to the nodes."""

import json
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from api.center.entries import StreamAwayError, StreamFullError
from api.center.errors import StoreAwayError
from api.center.model import Feedback, Hole
from api.center.stream import DistrictStream
from api.center.tables import SURGE, USUAL
from edge.envelope import rfc3339
from streams.backoff import Backoff

log = structlog.get_logger(__name__)

PERIOD_S = 0.5
"""Seconds between two rounds."""
RECEIPTS_S = 5.0
"""Seconds after which receipts of nodes heard lately are written again."""
HEARD_S = 60.0
"""Seconds for which a node counts as heard lately."""
HOLE_AGE_S = 3.0
"""Seconds that a hole may last before it is asked for: what comes out of order fills it by itself."""
PROFILE_S = 60.0
"""Seconds after which nodes are told again which profile holds."""
ASK_S, ASK_CAP_S = 5.0, 60.0
"""Seconds until the same numbers are asked for again, doubled each time up to the second."""
SILENT_S, SILENT_ASK_S = 180.0, 600.0
"""A node not heard for the first is asked once in the second: its feedback shall not push verdicts out."""
ASK_NUMBERS = 1000
"""Numbers asked of a node in one go, at most."""
HOLES = 10_000
"""Holes looked at in one go."""


class Office(Protocol):
    """What is needed of the store."""

    def stored_through(self, nodes: Collection[str]) -> Mapping[str, int]:
        """By node, of some, the number up to which all is stored or reported lost."""
        ...

    def heard(self) -> Mapping[str, datetime]:
        """By node, when it was heard last."""
        ...

    def holes(self, older_than_s: float, limit: int) -> Sequence[Hole]:
        """Numbers that neither came nor were reported lost, oldest first."""
        ...

    def overdue(self, now: datetime) -> Sequence[object]:
        """Escalate the cases that missed a deadline; returns them."""
        ...

    def in_surge(self) -> bool:
        """Whether surge mode is on."""
        ...

    def verdicts_due(self) -> Sequence[Feedback]:
        """Messages to nodes that wait."""
        ...

    def verdicts_sent(self, ids: Sequence[int]) -> None:
        """Note that messages were sent."""
        ...


@dataclass(slots=True)
class _Asked:
    """What a node was asked for last, and when its round of holes began.

    Attributes:
        first, last: of the numbers that were asked for.
        at_s: when.
        began_s: when its oldest hole was asked for.
        pause_s: from then on until that is asked for again.
        answered: whether anything came of this round.
    """

    first: int
    last: int
    at_s: float
    began_s: float
    pause_s: float = ASK_S
    answered: bool = False


class Replays:
    """Which holes to ask for now; one request a node, and patience with those that do not answer.

    A node's holes are gone through from the oldest to the newest, then again, so that none that cannot be
    filled keeps the others waiting. A request that was answered, so that no number of it is missing any more,
    is followed by the next at once, any other after 5 s. Where nothing came of a whole round, the next one
    begins 5 s, then 10 s, up to a minute after its begin. Of each node only the last request is kept.
    """

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}

    def due(self, holes: Iterable[Hole], now_s: float, silent: Collection[str] = ()) -> list[Hole]:
        """Requests to send, one a node: 1000 numbers at most.

        Args:
            holes: of all nodes, each node's in ascending order.
            now_s: monotonic seconds.
            silent: nodes that will hardly answer; each is asked every ten minutes only.
        """
        by_node: dict[str, list[Hole]] = {}
        for hole in holes:
            by_node.setdefault(hole.node, []).append(hole)
        for node in self._asked.keys() - by_node.keys():
            del self._asked[node]
        found = (self._next(node, mine, now_s, node in silent) for node, mine in by_node.items())
        return [hole for hole in found if hole is not None]

    def _next(self, node: str, holes: Sequence[Hole], now_s: float, silent: bool) -> Hole | None:
        asked = self._asked.get(node)
        if asked is None:
            span = _span(holes, 0)
            assert span is not None  # noqa: S101 - a node without holes is not asked
            self._asked[node] = _Asked(span.first, span.last, now_s, now_s)
            return span
        answered = all(hole.last < asked.first or hole.first > asked.last for hole in holes)
        asked.answered = asked.answered or answered
        if not answered and now_s < asked.at_s + (SILENT_ASK_S if silent else ASK_S):
            return None
        span = _span(holes, asked.last)
        if span is None:
            if not asked.answered and now_s < asked.began_s + asked.pause_s:
                return None
            asked.pause_s = ASK_S if asked.answered else min(ASK_CAP_S, 2 * asked.pause_s)
            asked.began_s, asked.answered = now_s, False
            span = _span(holes, 0)
        assert span is not None  # noqa: S101 - as above
        asked.first, asked.last, asked.at_s = span.first, span.last, now_s
        return span


def _span(holes: Iterable[Hole], after: int) -> Hole | None:
    """What to ask of a node in one go, from its first missing number after another on; None for nothing."""
    beyond = [hole for hole in holes if hole.last > after]
    if not beyond:
        return None
    first = max(beyond[0].first, after + 1)
    end = first + ASK_NUMBERS - 1
    last = max(min(hole.last, end) for hole in beyond if hole.first <= end)
    return Hole(beyond[0].node, first, last)


class Tender:
    """Runs the centre's rounds in a thread of its own; several centres on one database do no harm."""

    def __init__(
        self,
        stream: DistrictStream,
        office: Office,
        escalate_every_s: float = 10.0,
        rng: random.Random | None = None,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare.

        Args:
            stream: where receipts and words go.
            office: what there is to say.
            escalate_every_s: seconds between two looks at deadlines.
            rng: jitter of the retries.
            utc: the centre's clock.
        """
        self._stream = stream
        self._office = office
        self._escalate_every_s = escalate_every_s
        self._backoff = Backoff(rng or random.Random(), 0.1, 3.0)  # noqa: S311 - jitter, no secret
        self._utc = utc
        self._replays = Replays()
        self._everybody = True
        self._profile_told_s = -float("inf")
        self._receipted_s = self._escalated_s = self._asked_s = -float("inf")
        self.trouble: str | None = None
        """Why rounds fail now; None where they do not."""

    def run(self, stopping: threading.Event) -> None:
        """Make rounds until `stopping` is set."""
        while not stopping.is_set():
            try:
                self.round()
            except (StreamAwayError, StoreAwayError) as exc:
                # it may have come back empty: everybody's receipt is written again
                self._everybody = self._everybody or isinstance(exc, StreamAwayError)
                self._note(str(exc))
                if isinstance(exc, StreamFullError):
                    # where no event comes through no worker writes anything, and so none would notice
                    self._stream.relieve()
                stopping.wait(self._backoff.next_s())
            except Exception:
                log.exception("a round failed")
                stopping.wait(self._backoff.next_s())
            else:
                self._note(None)
                self._backoff.reset()
                stopping.wait(PERIOD_S)

    def round(self) -> None:
        """Do what is due now.

        Raises:
            StreamAwayError: Redis is away; what was not done is done in a later round.
            StoreAwayError: the database is away; likewise.
        """
        now_s = time.monotonic()
        # deadlines first: they need no Redis
        if now_s - self._escalated_s >= self._escalate_every_s:
            escalated = self._office.overdue(self._utc())
            self._escalated_s = now_s
            if escalated:
                log.warning("cases escalated for a missed deadline", cases=len(escalated))
        self._stream.ping()
        self._stream.keep_spare()
        if self._everybody or now_s - self._profile_told_s >= PROFILE_S:
            self._tell_profile()
            self._profile_told_s = now_s
        self._write_receipts(now_s)
        self._send_words()
        if now_s - self._asked_s >= 1.0:
            self._ask_again(now_s)
            self._asked_s = now_s

    def _tell_profile(self) -> None:
        """Tell it again: a node may have started since, or missed it, or hold on to one of long ago."""
        profile = SURGE if self._office.in_surge() else USUAL
        told = {"node": "*", "kind": "profile", "profile": profile, "time": rfc3339(self._utc())}
        self._stream.tell([json.dumps(told)])

    def _write_receipts(self, now_s: float) -> None:
        if not self._everybody and now_s - self._receipted_s < RECEIPTS_S:
            return
        heard = self._office.heard()
        nodes = list(heard)
        # fewer are held by a server that came back empty between two rounds
        if not self._everybody and self._stream.receipts_held() >= len(nodes):
            since = self._utc() - timedelta(seconds=HEARD_S)
            nodes = [node for node in nodes if heard[node] > since]
        self._stream.receipt(self._office.stored_through(nodes))
        self._everybody = False
        self._receipted_s = now_s

    def _send_words(self) -> None:
        if due := self._office.verdicts_due():
            self._stream.tell([message.body for message in due])
            self._office.verdicts_sent([message.id for message in due])

    def _ask_again(self, now_s: float) -> None:
        holes = self._office.holes(HOLE_AGE_S, HOLES)
        asked = self._replays.due(holes, now_s, self._silent() if holes else ())
        if asked:
            self._stream.tell([_replay(hole) for hole in asked])
            log.info("nodes asked to send again", nodes=len(asked), events=sum(_size(h) for h in asked))

    def _silent(self) -> set[str]:
        since = self._utc() - timedelta(seconds=SILENT_S)
        return {node for node, heard in self._office.heard().items() if heard < since}

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning("receipts and words to the nodes wait", reason=trouble)
        self.trouble = trouble


def _replay(hole: Hole) -> str:
    return json.dumps({"node": hole.node, "kind": "replay", "first": hole.first, "last": hole.last})


def _size(hole: Hole) -> int:
    return hole.last - hole.first + 1
