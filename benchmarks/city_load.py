"""What a city's nodes say to the centre, and when: a seeded schedule, and the bytes, signed. Pure."""

import base64
import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.envelope import STREAM_FIELD, TYPES, Event, rfc3339
from edge.identifiers import format_uuid7, traceparent
from edge.signing import Signer

Kind = Literal["heartbeat", "coverage", "incident"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PHASES = ("begin", "update", "update", "end")
STEP_S = 2.0
"""Seconds between the events of one incident in quiet times."""
INCIDENTS = 10**9
"""Numbers of incidents that an act may use."""
EPOCH_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What a city sends.

    Attributes:
        nodes: boxes, each with its own key and numbers.
        cameras: on each.
        heartbeats_per_s, events_per_s: of the whole city; events are those of incidents.
        coverage_per_s: `node.coverage` events, one row a camera.
        burst_factor: times `events_per_s` while the cameras of one area fire together.
    """

    nodes: int = 1000
    cameras: int = 60
    heartbeats_per_s: float = 1000.0
    events_per_s: float = 17.0
    coverage_per_s: float = 1000 / 60
    burst_factor: float = 50.0

    def times(self, multiple: float) -> Self:
        """The same city, saying so many times as much."""
        return replace(
            self,
            heartbeats_per_s=multiple * self.heartbeats_per_s,
            events_per_s=multiple * self.events_per_s,
            coverage_per_s=multiple * self.coverage_per_s,
        )

    @property
    def steady_per_s(self) -> float:
        """Entries a second without a burst."""
        return self.heartbeats_per_s + self.events_per_s + self.coverage_per_s


@dataclass(frozen=True, slots=True)
class Act:
    """A while of the city's life.

    Attributes:
        load: what it sends.
        seconds: how long.
        bursts: begin and length of each burst, in seconds from the act's begin.
        seed: of chance: the same seed gives the same schedule.
    """

    load: Load
    seconds: float
    bursts: tuple[tuple[float, float], ...] = ()
    seed: int = 1


class Slot(NamedTuple):
    """Something that a node says, `at_s` seconds after the act's begin.

    Of an incident: which camera of the node saw it, its number, and where in `PHASES` it is.
    """

    at_s: float
    node: int
    kind: Kind
    camera: int = 0
    incident: int = 0
    step: int = 0


def slots(act: Act) -> Iterator[Slot]:
    """All that a city says in an act, in the order of time."""
    parts = [
        _regular(act, "heartbeat", act.load.heartbeats_per_s),
        _regular(act, "coverage", act.load.coverage_per_s),
        _quiet(act),
    ]
    parts += [_burst(act, nth, *burst) for nth, burst in enumerate(act.bursts)]
    return heapq.merge(*parts)


def _regular(act: Act, kind: Kind, per_s: float) -> Iterator[Slot]:
    """What each node says at its own regular moments; the nodes' moments are spread evenly."""
    for k in range(math.ceil(act.seconds * per_s)):
        yield Slot(k / per_s, k % act.load.nodes, kind)


def _quiet(act: Act) -> Iterator[Slot]:
    """Incidents here and there, by chance (Poisson); their further events follow every two seconds."""
    rng, load = random.Random(act.seed), act.load
    per_s = load.events_per_s / len(PHASES)
    waiting: list[Slot] = []
    # those that began before the act are in the middle of their life at its begin
    at_s, number = -STEP_S * (len(PHASES) - 1), act.seed * INCIDENTS
    while per_s > 0 and (at_s := at_s + rng.expovariate(per_s)) < act.seconds:
        number += 1
        node, camera = rng.randrange(load.nodes), rng.randrange(load.cameras)
        for step in range(len(PHASES)):
            heapq.heappush(waiting, Slot(at_s + step * STEP_S, node, "incident", camera, number, step))
        while waiting[0].at_s < at_s:
            if (slot := heapq.heappop(waiting)).at_s >= 0:
                yield slot
    yield from (slot for slot in sorted(waiting) if 0 <= slot.at_s < act.seconds)


def _burst(act: Act, nth: int, at_s: float, lasts_s: float) -> Iterator[Slot]:
    """Every camera of an area begins an incident in the burst's first quarter, and ends it in the last."""
    load = act.load
    per_s = load.burst_factor * load.events_per_s
    cameras = math.floor(lasts_s * per_s / len(PHASES))
    around = random.Random(f"{act.seed}/{nth}").randrange(load.nodes)
    first = act.seed * INCIDENTS + (nth + 1) * INCIDENTS // 100
    for k in range(cameras * len(PHASES)):
        step, which = divmod(k, cameras)
        node = (around + which // load.cameras) % load.nodes
        yield Slot(at_s + k / per_s, node, "incident", which % load.cameras, first + which, step)


@dataclass(slots=True)
class SimNode:
    """One node: its key, its numbers, the bytes it sends."""

    index: int
    load: Load
    district: str
    signer: Signer
    rng: random.Random
    sequence: int = 0

    @classmethod
    def make(cls, index: int, load: Load, district: str) -> Self:
        """A node with a new key."""
        return cls(index, load, district, Signer(Ed25519PrivateKey.generate()), random.Random(index))

    @property
    def name(self) -> str:
        """Its id."""
        return f"node-{self.index:05d}"

    def prove(self) -> None:
        """Have the product's own models read an event of each kind: what is simulated is what nodes send.

        Raises:
            EventError: it is not.
        """
        for kind in KINDS:
            Event.from_json(self.body(Slot(0.0, self.index, kind, 1, 1), datetime.now(UTC)))

    def entry(self, slot: Slot, utc: datetime) -> dict[bytes, bytes]:
        """The stream entry in which it says something, with the next of its numbers."""
        self.sequence += 1
        body = self.body(slot, utc)
        signature = base64.b64encode(self.signer.sign(body))
        return {
            STREAM_FIELD.encode(): body,
            b"sig": signature,
            b"key": self.signer.key_id.encode(),
        }

    def body(self, slot: Slot, utc: datetime) -> bytes:
        """An event's JSON. Made as text: the models that check it would cost more than the centre does."""
        now, kind, subject, source = rfc3339(utc), f"node.{slot.kind}", self.name, f"/nodes/{self.name}"
        if slot.kind == "incident":
            kind, subject, source = "crowd.density", "plaza", f"{source}/cameras/camera-{slot.camera:02d}"
            data = self._incident(slot, now)
        elif slot.kind == "heartbeat":
            data = (
                f'{{"district":"{self.district}","measures":{{"cameras":{self.load.cameras},'
                f'"cameras_up":{self.load.cameras},"analysed_fps":{self.rng.uniform(250, 300):.2f},'
                f'"uptime_s":{self.sequence * 60}}}}}'
            )
        else:
            data = self._coverage()
        return (
            f'{{"specversion":"1.0","id":"{self._id(utc)}","source":"{source}","type":"{TYPES[kind]}",'
            f'"subject":"{subject}","time":"{now}","datacontenttype":"application/json",'
            f'"dataschema":"urn:sharpeyes:schema:event:v1","traceparent":"{traceparent(self.rng.getrandbits)}",'
            f'"data":{data},"sequence":"{self.sequence:020d}"}}'
        ).encode()

    def _id(self, utc: datetime) -> str:
        return format_uuid7(int(utc.timestamp() * 1000), self.rng.getrandbits(74))

    def _incident(self, slot: Slot, now: str) -> str:
        # the same incident always bears the same id, whichever event of it this is
        incident = format_uuid7(EPOCH_MS, slot.incident * 0x9E3779B97F4A7C15 % (1 << 74))
        # nodes a kilometre apart, their cameras 120 m: no two of them see the same place
        row, column = divmod(self.index, 32)
        latitude = 28 + row * 0.01 + slot.camera // 8 * 0.0011
        longitude = 115 + column * 0.01 + slot.camera % 8 * 0.0012
        return (
            f'{{"incident":"{incident}","phase":"{PHASES[slot.step]}","level":{2 + slot.incident % 3},'
            f'"site":{{"name":"北门广场","district":"{self.district}",'
            f'"grid":"{self.district}{self.index % 10**6:06d}{slot.camera:03d}",'
            f'"gb28181":"{self.district}00001320{slot.incident % 10**6:06d}",'
            f'"longitude":{longitude:.5f},"latitude":{latitude:.5f}}},'
            f'"started":"{now}","observed":"{now}","zone":"plaza","measures":{{"count":{41 + slot.step},'
            f'"density_worst_cell_per_m2":4.3,"density_mean_per_m2":2.1,"density_stderr_per_m2":0.3}},'
            f'"confidence":0.87,"boxes":[{",".join(["[0.41,0.22,0.44,0.31]"] * 20)}],'
            f'"model":{{"name":"nanodet-g-416-int8","sha256":"{"7" * 64}"}},'
            f'"coverage":{{"analysed_fps":5.0,"degraded":false}}}}'
        )

    def _coverage(self) -> str:
        rows = ",".join(
            f'{{"camera":"camera-{k:02d}","tasks":["crowd.density/plaza","hazard.intrusion/gate"],'
            '"ms":{"analysed":{"at_rate":52000,"idle_watched":8000}}}'
            for k in range(self.load.cameras)
        )
        return (
            f'{{"district":"{self.district}","measures":{{"span_s":60,"cameras":{self.load.cameras},'
            '"cameras_blind":0,"analysed_share":1,"degraded_share":0,"blind_share":0},'
            f'"ledger":{{"span_ms":60000,"part":1,"parts":1,"rows":[{rows}]}}}}'
        )
