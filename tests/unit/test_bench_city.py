"""The simulated city says what it should, when it should; and what is seen of it is added up rightly."""

import random
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.city_load import KINDS, PHASES, Act, Load, SimNode, Slot, slots
from benchmarks.city_watch import Look, ages, drained_s, per_s, quantile
from edge.envelope import STREAM_FIELD, Event, IncidentData
from edge.signing import verify

NOW = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
SMALL = Load(nodes=20, cameras=3, heartbeats_per_s=10, events_per_s=8, coverage_per_s=1, burst_factor=5)


@given(seed=st.integers(0, 1000), seconds=st.floats(1, 40), burst=st.floats(0, 20))
def test_what_is_said_is_in_order_whole_and_the_same_for_a_seed(
    seed: int, seconds: float, burst: float
) -> None:
    act = Act(SMALL, seconds, ((burst, 6.0),), seed)
    said = list(slots(act))

    assert said == list(slots(act))
    assert all(before.at_s <= after.at_s for before, after in pairwise(said))
    assert {slot.node for slot in said} <= set(range(SMALL.nodes))
    incidents = [(slot.incident, slot.step) for slot in said if slot.kind == "incident"]
    assert len(set(incidents)) == len(incidents)


def test_rates_are_those_of_the_load() -> None:
    act = Act(Load(), 200.0)
    count = Counter(slot.kind for slot in slots(act))

    assert count["heartbeat"] == 200_000
    assert count["incident"] / act.seconds == pytest.approx(17, rel=0.05)
    assert count["coverage"] == pytest.approx(1000 / 60 * 200, abs=1)


def test_in_a_burst_each_camera_of_an_area_has_an_incident_from_begin_to_end() -> None:
    quiet = Load(nodes=100, cameras=60, heartbeats_per_s=0, coverage_per_s=0)
    with_burst = [s for s in slots(Act(quiet, 60.0, ((20.0, 10.0),))) if s.incident > 10**9 + 10**7]

    assert len(with_burst) == pytest.approx(50 * 17 * 10, abs=len(PHASES))
    assert all(20 <= slot.at_s <= 30 for slot in with_burst)
    steps: dict[tuple[int, int, int], list[int]] = {}
    for slot in with_burst:
        steps.setdefault((slot.incident, slot.node, slot.camera), []).append(slot.step)
    assert {tuple(one) for one in steps.values()} == {(0, 1, 2, 3)}
    assert len({(node, camera) for _, node, camera in steps}) == len(steps)
    # an area: neighbouring boxes
    assert len({slot.node for slot in with_burst}) == -(-len(steps) // quiet.cameras)


def test_a_multiple_of_the_load_is_more_of_everything() -> None:
    twice = Load().times(2)

    assert (twice.heartbeats_per_s, twice.events_per_s) == (2000, 34)
    assert twice.steady_per_s == pytest.approx(2 * Load().steady_per_s)
    assert (twice.nodes, twice.cameras) == (1000, 60)


def test_what_a_node_says_is_signed_numbered_and_of_the_schema() -> None:
    node = SimNode.make(7, Load(), "360103")
    node.rng = random.Random(1)
    node.prove()
    for number, kind in enumerate(KINDS, 1):
        entry = node.entry(Slot(0.0, 7, kind, 5, 42, 1), NOW)
        body = entry[STREAM_FIELD.encode()]
        event = Event.from_json(body)
        assert int(event.sequence) == number
        assert verify(node.signer.public, body, node.signer.sign(body))
        assert entry[b"key"].decode() == node.signer.key_id
        if isinstance(event.data, IncidentData):
            assert event.source == "/nodes/node-00007/cameras/camera-05"
            assert event.data.phase == PHASES[1]


def look(at_s: float, taken: int, oldest_s: float = 0.0, new_s: float = 0.0) -> Look:
    return Look(at_s, taken, 0, oldest_s, new_s)


def test_ages_are_weighted_by_how_many_were_taken() -> None:
    seen = [look(0, 0), look(1, 98, new_s=0.1), look(2, 98, new_s=7.0), look(3, 100, new_s=2.0)]

    assert ages(seen) == [(0.1, 98), (2.0, 2)]
    assert quantile(ages(seen), 0.5) == 0.1
    assert quantile(ages(seen), 0.99) == 2.0
    assert quantile([], 0.5) == 0.0


def test_a_burst_is_drained_when_nothing_waits_for_long() -> None:
    seen = [look(0, 0), look(10, 5, oldest_s=3.0), look(11, 6, oldest_s=1.0), look(12.5, 9, oldest_s=0.1)]

    assert drained_s(seen, 10.0) == 2.5
    assert drained_s(seen[:3], 10.0) is None


def test_rates_are_taken_over_steps_of_time() -> None:
    seen = [look(100 + k / 10, 20 * k, oldest_s=k / 10) for k in range(11)]

    assert list(per_s(seen, 100.0, 0.5)) == [
        (pytest.approx(0.5), pytest.approx(200), 0.5),
        (pytest.approx(1.0), pytest.approx(200), 1.0),
    ]
