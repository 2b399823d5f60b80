"""One process that plays a share of a city's nodes, each over connections of its own."""

import asyncio
import base64
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import cast
from urllib.parse import urlsplit

from benchmarks.city_load import Act, Load, SimNode, Slot, slots
from edge.envelope import STREAM_FIELD, stream_key
from edge.feedback import feedback_key, receipts_key
from edge.redis_wire import appends, command

TICK_S, HALF_S = 0.01, 0.5
LISTEN_MS = 2000
"""A node looks at its receipt, and waits for words, this long: as `edge.feedback` does."""
CONNECTIONS = 1000
"""Nodes that have connections of their own; beyond that they share."""
ANSWERS_S = 30.0

_MESSAGE_IDS = re.compile(rb"\r\n(\d{10,}-\d+)\r\n")


class _Talker(asyncio.Protocol):
    """A connection for events: sends, and counts the answers."""

    def __init__(self, login: bytes) -> None:
        self._login = login
        self.answered = -1 if login else 0  # the login's answer is +OK, the others' begin with $
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._login)

    def send(self, raw: bytes) -> None:
        self.transport.write(raw)

    def data_received(self, data: bytes) -> None:
        # an XADD's answer is $, its length, and an id of digits: no other $ is in it
        self.answered += data.count(b"$") + data.count(b"+OK")
        self.refused += data.count(b"-ERR") + data.count(b"-OOM") + data.count(b"-NO")


class _Listener(asyncio.Protocol):
    """A connection for the centre's words: the node's receipt, and a wait for messages, in turn."""

    def __init__(self, login: bytes, district: str, node: str) -> None:
        self._login = login
        self._receipt = command("HGET", receipts_key(district), node)
        self._feedback = feedback_key(district)
        self._last = "$"
        self._rest = b""
        self.words = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._login)
        self._ask()

    def _ask(self) -> None:
        wait = ("XREAD", "COUNT", 500, "BLOCK", LISTEN_MS, "STREAMS", self._feedback, self._last)
        self._transport.write(self._receipt + command(*wait))

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if self._rest.endswith(b"*-1\r\n"):
            self._rest = b""
            self._ask()
        elif self._rest.endswith(b"}\r\n") and (found := _MESSAGE_IDS.findall(self._rest)):
            self.words += len(found)
            self._last, self._rest = found[-1].decode(), b""
            self._ask()


@dataclass(slots=True)
class Report:
    """What a squad did in an act.

    Attributes:
        sent: entries by kind.
        per_tick: entries sent by half second from the act's begin.
        answered: entries that Redis has stored.
        refused: entries that Redis refused.
        late_s: how late the latest entry was sent.
        sizes: bytes of the JSON by kind, summed.
        words: messages that its nodes were told.
    """

    sent: Counter[str] = field(default_factory=Counter)
    per_tick: Counter[int] = field(default_factory=Counter)
    answered: int = 0
    refused: int = 0
    late_s: float = 0.0
    sizes: Counter[str] = field(default_factory=Counter)
    words: int = 0


class Squad:
    """A share of a city's nodes, in one process."""

    def __init__(self, load: Load, share: tuple[int, int], district: str, max_entries: int) -> None:
        """Make the nodes and their keys.

        Args:
            load: the city.
            share: which of how many squads this is.
            district: six digits.
            max_entries: MAXLEN of the stream.
        """
        self._share, self._district, self._max_entries = share, district, max_entries
        own = range(share[0], load.nodes, share[1])
        self.nodes = {index: SimNode.make(index, load, district) for index in own}
        self._talkers: list[_Talker] = []
        self._listeners: list[_Listener] = []

    async def connect(self, url: str) -> None:
        """Open the nodes' connections, two each."""
        loop, where = asyncio.get_running_loop(), urlsplit(url)
        host, port = where.hostname or "", where.port or 6379
        login = command("AUTH", where.password) if where.password else b""
        for node in list(self.nodes.values())[: CONNECTIONS // self._share[1]]:
            _, talker = await loop.create_connection(partial(_Talker, login), host, port)
            listen = partial(_Listener, login, self._district, node.name)
            _, listener = await loop.create_connection(listen, host, port)
            self._talkers.append(talker)
            self._listeners.append(listener)

    async def play(self, act: Act, begin_s: float) -> Report:
        """Say what is due when it is due; returns when Redis has answered all of it.

        Args:
            act: for the whole city; what other squads' nodes say is left out.
            begin_s: monotonic time, shared by the machine's processes.
        """
        report, own = Report(), (slot for slot in slots(act) if slot.node in self.nodes)
        before = self._answered()
        slot = next(own, None)
        while slot is not None:
            now_s = time.monotonic() - begin_s
            while slot is not None and slot.at_s <= now_s:
                self._say(slot, report)
                report.late_s = max(report.late_s, now_s - slot.at_s)
                report.per_tick[int(now_s / HALF_S)] += 1
                slot = next(own, None)
            await asyncio.sleep(TICK_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERS_S):
                await self._all_answered(before + sum(report.sent.values()))
        report.answered = self._answered() - before
        report.refused = sum(talker.refused for talker in self._talkers)
        report.words = sum(listener.words for listener in self._listeners)
        return report

    def _say(self, slot: Slot, report: Report) -> None:
        node = self.nodes[slot.node]
        entry = node.entry(slot, datetime.now(UTC))
        (raw,) = appends(stream_key(self._district), (entry,), self._max_entries)
        self._talkers[slot.node // self._share[1] % len(self._talkers)].send(raw)
        report.sent[slot.kind] += 1
        report.sizes[slot.kind] += len(entry[STREAM_FIELD.encode()])

    async def _all_answered(self, expected: int) -> None:
        while self._answered() < expected:  # noqa: ASYNC110 - a thousand connections count for themselves
            await asyncio.sleep(TICK_S)

    def _answered(self) -> int:
        return sum(talker.answered for talker in self._talkers)


def work(load: Load, share: tuple[int, int], district: str, max_entries: int, pipe: Connection) -> None:
    """A squad's process: tells its keys, then plays the acts that come through the pipe, until None."""
    squad = Squad(load, share, district, max_entries)
    next(iter(squad.nodes.values())).prove()
    pipe.send([(node.name, base64.b64decode(node.signer.public)) for node in squad.nodes.values()])
    asyncio.run(_serve(squad, pipe))


async def _serve(squad: Squad, pipe: Connection) -> None:
    await squad.connect(await asyncio.to_thread(pipe.recv))
    pipe.send(None)
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        pipe.send(await squad.play(*order))
    pipe.send({node.name: node.sequence for node in squad.nodes.values()})
