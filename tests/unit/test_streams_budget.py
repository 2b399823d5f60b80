"""The planner: floors first, the declared order of degradation, fairness, and no flapping."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from streams.budget import ENTRY, LAST_RESORT, PROTECTED, ROTATE_S, plan
from streams.demand import DEGRADATION, Allocation, CameraCost, Capacity, Demand, Tier
from streams.service import DENSITY_PERIOD_S, FULL, KEYFRAMES, PACE_SLACK, PACES_S, SHED, Service

COST = CameraCost(
    demux_ms_per_s=2, keyframe_ms_per_s=5, decode_ms_per_s=115, look_ms=20, tiles_ms=40, density_ms=5
)
RULED = {"hazard.intrusion": 1.0, "hazard.line": 2.0}

costs = st.builds(
    lambda keyframe_ms, rest_ms, **others: CameraCost(
        keyframe_ms_per_s=keyframe_ms, decode_ms_per_s=keyframe_ms + rest_ms, **others
    ),
    st.floats(0, 20),
    st.floats(0, 500),  # who decodes everything decodes keyframes, too
    demux_ms_per_s=st.floats(0, 10),
    look_ms=st.floats(0.5, 50),
    tiles_ms=st.floats(0, 100),
    density_ms=st.floats(0, 10),
)


@st.composite
def demands(draw: st.DrawFn, most: int = 12) -> list[Demand]:
    return [
        Demand(
            f"camera-{index:03}",
            wanted_fps=draw(st.sampled_from([0.5, 1, 2.1, 4, 5, 6, 10, 25])),
            floors=draw(st.sampled_from([{}, {"hazard.intrusion": 1.0}, RULED, {"hazard.fall": 5.0}])),
            priority=draw(st.integers(1, 9)),
            active_share=draw(st.floats(0, 1)),
            decode_share=draw(st.none() | st.floats(0, 1)),
            keyframe_fps=draw(st.sampled_from([0.0, 0.5, 1.0])),
            open_incident=draw(st.booleans()),
            moving_tracks=draw(st.integers(0, 3)),
            stale_s=draw(st.sampled_from([0.0, 10.0, 40.0, 100.0])),
            shed_s=draw(st.sampled_from([0.0, 10.0, 40.0])),
            tiles=draw(st.booleans()),
            density=draw(st.booleans()),
            calm=draw(st.booleans()),
        )
        for index in range(draw(st.integers(1, most)))
    ]


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Demand], dict[str, CameraCost]]:
    asked = draw(demands())
    return asked, {demand.camera_id: draw(costs) for demand in asked}


def given_fps(demand: Demand, service: Service) -> float:
    """The rate at which a camera is analysed while something moves, in fps: 0 when shed."""
    if service.shed:
        return 0.0
    return max(service.fps, keyframe_fps(demand, service))


def keyframe_fps(demand: Demand, service: Service) -> float:
    """Keyframes a second that are looked at while nothing moves."""
    fps = min(demand.keyframe_fps, demand.wanted_fps)
    return fps / max(math.ceil(PACE_SLACK * service.pace_s * fps - 1e-9), 1)


def slowest(demand: Demand) -> Service:
    """Keyframes at the worst pace that is allowed there."""
    service = Service(0.0, pace_s=PACES_S[0])
    at = min(demand.keyframe_fps, demand.wanted_fps)
    safe = min(demand.floor_fps, demand.wanted_fps) > at or demand.floor_fps <= keyframe_fps(demand, service)
    return service if demand.calm and safe and demand.priority < PROTECTED else KEYFRAMES


def spend(demand: Demand, service: Service, cost: CameraCost) -> float:
    """CPU a second of one camera at a service, straight from the definitions."""
    if service.shed:
        return 0.0
    active, idle = demand.active_share, 1 - demand.active_share
    at = min(demand.keyframe_fps, demand.wanted_fps)
    looks = active * max(service.fps, at) + idle * min(demand.idle_fps, demand.wanted_fps)
    decoded = demand.decoded if service.fps else 0.0
    keyframes = cost.keyframe_ms_per_s * (keyframe_fps(demand, service) / at if at else 1.0)
    extra = cost.tiles_ms * service.tiles * looks
    rate = 1 / DENSITY_PERIOD_S
    counts = active * min(max(service.fps, at), rate) + idle * min(demand.idle_fps, demand.wanted_fps, rate)
    extra += cost.density_ms * demand.density * (looks if service.density else counts)
    extra += cost.fire_ms * counts
    decoding = (1 - decoded) * keyframes + decoded * cost.decode_ms_per_s
    return cost.demux_ms_per_s + decoding + looks * cost.look_ms + extra


@pytest.mark.parametrize("fps", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_looks_for_fire_cost_the_same_at_any_rate(fps: float, share: float) -> None:
    demand = Demand("a", fps, {"hazard.fire": 0.5}, active_share=share, keyframe_fps=0.25)
    price = replace(COST, fire_ms=80.0)
    allocation = plan([demand], {"a": price}, Capacity(5000))
    service = allocation.services["a"]
    assert given_fps(demand, service) == fps
    assert allocation.camera_ms["a"] == pytest.approx(spend(demand, service, price))
    without = plan([demand], {"a": COST}, Capacity(5000)).camera_ms["a"]
    rate = share / DENSITY_PERIOD_S + (1 - share) * demand.idle_fps
    assert allocation.camera_ms["a"] - without == pytest.approx(80 * rate)


def floors_only(asked: Sequence[Demand], prices: Mapping[str, CameraCost]) -> float:
    """What keyframes and floors of all cameras cost together, from a plan without limits."""
    bare = [
        replace(d, wanted_fps=min(d.wanted_fps, _floor_rung(d)), tiles=False, density=False)
        if _floor_rung(d)
        else replace(d, keyframe_fps=d.wanted_fps, tiles=False, density=False)
        for d in asked
    ]
    total = 0.0
    for demand, own in zip(asked, bare, strict=True):
        service = replace(slowest(demand), fps=own.wanted_fps if _floor_rung(demand) else 0.0)
        total += spend(demand, service, prices[demand.camera_id])
    return total


def _floor_rung(demand: Demand) -> float:
    """The lowest rung that holds the camera's floors; 0 where keyframes do."""
    at = min(demand.keyframe_fps, demand.wanted_fps)
    if at >= demand.floor_fps:
        return 0.0
    rungs = [fps for fps in (1.0, 2.0, 5.0, 10.0) if at < fps and fps * 1.3 < demand.wanted_fps]
    if demand.wanted_fps > at:
        rungs.append(demand.wanted_fps)
    return next((fps for fps in rungs if fps >= demand.floor_fps), rungs[-1] if rungs else 0.0)


def test_the_full_service_is_the_top_of_the_ladder_to_every_camera() -> None:
    assert given_fps(Demand("a", 5), FULL) == 10


@given(problems(), st.floats(0, 5000))
def test_a_plan_costs_what_its_services_cost(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float
) -> None:
    asked, prices = problem
    allocation = plan(asked, prices, Capacity(cpu_ms, overhead_ms=3))
    for demand in asked:
        service = allocation.services[demand.camera_id]
        spent = spend(demand, service, prices[demand.camera_id])
        assert allocation.camera_ms[demand.camera_id] == pytest.approx(spent, rel=1e-6, abs=1e-3)
        assert given_fps(demand, service) <= demand.wanted_fps
    assert allocation.cpu_ms == pytest.approx(3 + sum(allocation.camera_ms.values()))


@given(problems(), st.floats(0, 5000), st.floats(0, 2000), st.none() | st.floats(0, 5000))
def test_capacity_is_kept_and_exceeded_for_held_floors_alone(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float, lane_ms: float, before: float | None
) -> None:
    asked, prices = problem
    previous = None if before is None else plan(asked, prices, Capacity(before))
    capacity = Capacity(cpu_ms, lane_ms)
    allocation = plan(asked, prices, capacity, previous)
    turns = any(max(demand.stale_s, demand.shed_s) >= ROTATE_S for demand in asked)
    limit = LAST_RESORT if turns or previous is not None else 1.0
    assert allocation.cpu_ms <= cpu_ms * limit + 1e-6
    assert allocation.lane_ms <= lane_ms * limit + 1e-6
    if allocation.cpu_ms > cpu_ms + 1e-6:
        for demand in asked:
            service = allocation.services[demand.camera_id]
            assert service.fps <= _floor_rung(demand)


@given(problems(), st.none() | st.floats(0, 5000))
def test_floors_are_held_whenever_they_fit(
    problem: tuple[list[Demand], dict[str, CameraCost]], before: float | None
) -> None:
    asked, prices = problem
    previous = None if before is None else plan(asked, prices, Capacity(before))
    allocation = plan(asked, prices, Capacity(floors_only(asked, prices) + 1e-3), previous)
    assert not any(service.shed for service in allocation.services.values())
    assert all(allocation.services[d.camera_id].fps >= _floor_rung(d) for d in asked)
    for short in allocation.below_floor:  # only what the camera is not configured for
        demand = next(d for d in asked if d.camera_id == short.camera_id)
        assert short.given_fps == demand.wanted_fps < short.floor_fps


@given(problems(), st.floats(0, 3000), st.floats(0, 1000))
def test_more_capacity_is_lost_to_nobody_of_lower_priority(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float, more_ms: float
) -> None:
    """Up to the floors: who gets less with more capacity lost it to somebody of its priority or above."""
    asked, prices = problem
    less, more = plan(asked, prices, Capacity(cpu_ms)), plan(asked, prices, Capacity(cpu_ms + more_ms))

    def safe(allocation: Allocation, demand: Demand) -> float:
        service = allocation.services[demand.camera_id]
        return -1.0 if service.shed else min(service.fps, _floor_rung(demand))

    gainers = [d.priority for d in asked if safe(more, d) > safe(less, d)]
    losers = [d.priority for d in asked if safe(more, d) < safe(less, d)]
    # Shedding stands before floors: a keyframe for anybody comes before a floor for somebody.
    shed_before = {d.camera_id for d in asked if less.services[d.camera_id].shed}
    rescued = shed_before - {id_ for id_, service in more.services.items() if service.shed}
    if losers and not rescued:
        assert max(gainers) >= max(losers)
    if losers:
        assert gainers


@given(st.integers(1, 40), st.floats(0, 6000), st.floats(0, 2000), st.floats(0, 1))
def test_more_capacity_takes_nothing_from_anybody_where_cameras_cost_the_same(
    count: int, cpu_ms: float, more_ms: float, share: float
) -> None:
    asked = [
        Demand(f"c{k:02}", 10, floors=RULED, priority=1 + k % 9, active_share=share, density=k % 2 == 0)
        for k in range(count)
    ]
    prices = {demand.camera_id: replace(COST, tiles_ms=0, density_ms=0) for demand in asked}
    less, more = plan(asked, prices, Capacity(cpu_ms)), plan(asked, prices, Capacity(cpu_ms + more_ms))
    top = max(demand.priority for demand in asked)
    for demand in asked:
        if demand.priority == top:
            given = [given_fps(demand, allocation.services[demand.camera_id]) for allocation in (less, more)]
            assert given[0] <= given[1] or given[1] >= demand.floor_fps


@given(problems(), st.floats(0, 5000), st.randoms(use_true_random=False))
def test_the_order_of_cameras_means_nothing(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float, rng: random.Random
) -> None:
    asked, prices = problem
    shuffled = list(asked)
    rng.shuffle(shuffled)
    previous = plan(shuffled, prices, Capacity(cpu_ms * 0.7))
    assert plan(asked, prices, Capacity(cpu_ms), previous) == plan(
        shuffled, prices, Capacity(cpu_ms), previous
    )


RUNGS = (0.0, 1.0, 2.0, 5.0, 10.0)


@given(
    st.integers(2, 20),
    st.floats(0, 8000),
    st.floats(0, 8000),
    st.sampled_from([{}, RULED]),
    st.booleans(),
    st.integers(0, 19),
)
def test_equals_get_the_same_within_one_step(
    count: int, cpu_ms: float, before: float, floors: dict[str, float], busy: bool, early: int
) -> None:
    """Also when some of them were there before the others came."""
    asked = [Demand(f"c{k:02}", 10, floors=floors, moving_tracks=int(busy)) for k in range(count)]
    prices = {demand.camera_id: COST for demand in asked}
    previous = plan(asked[: early % count + 1], prices, Capacity(before))
    allocation = plan(asked, prices, Capacity(cpu_ms), previous)
    steps = [-1 if service.shed else RUNGS.index(service.fps) for service in allocation.services.values()]
    # Room that is too small to lift the one that has least, or kept from what is new, may go to the others.
    least = min(steps)
    ahead = sum(_climb(least + 1, step) for step in steps if step > least + 1)
    assert ahead < _climb(least, least + 1) + (LAST_RESORT - ENTRY) * cpu_ms


def _climb(low: int, high: int) -> float:
    """CPU a second from one step to a higher one; -1 is shed, 0 keyframes."""
    prices = [0.0, COST.keyframe_ms_per_s]
    prices += [COST.decode_ms_per_s + COST.look_ms * fps for fps in RUNGS[1:]]
    return prices[high + 1] - prices[low + 1] if high < len(RUNGS) else math.inf


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(problems(), st.floats(50, 4000), st.integers(0, 2**32), st.booleans())
def test_noise_of_five_per_cent_lets_nothing_flap(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float, seed: int, common: bool
) -> None:
    """A camera may still climb when noise makes room, but none goes back to a service that it had left."""
    rng = random.Random(seed)
    asked = [replace(demand, stale_s=0.0, shed_s=0.0) for demand in problem[0]]
    names = (
        "demux_ms_per_s",
        "keyframe_ms_per_s",
        "decode_ms_per_s",
        "look_ms",
        "tiles_ms",
        "density_ms",
        "fire_ms",
    )

    def noisy() -> dict[str, CameraCost]:
        shared = rng.uniform(0.95, 1.05)
        return {
            id_: replace(cost, **{name: getattr(cost, name) * own for name in names})
            for id_, cost in problem[1].items()
            for own in [shared if common else rng.uniform(0.95, 1.05)]
        }

    allocation: Allocation | None = None
    history: dict[str, list[Service]] = {demand.camera_id: [] for demand in asked}
    for step in range(50):
        allocation = plan(asked, noisy(), Capacity(cpu_ms), allocation)
        for id_, service in allocation.services.items():
            past = history[id_]
            if step < 5:  # what was granted while all was cheap is found out in the first seconds
                past.clear()
            if not past or past[-1] != service:
                assert service not in past
                past.append(service)


@given(problems(), st.floats(0, 3000))
def test_only_cameras_of_least_priority_are_shed(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float
) -> None:
    asked = [
        replace(demand, stale_s=0.0, shed_s=0.0, open_incident=False, moving_tracks=0, decode_share=None)
        for demand in problem[0]
    ]
    allocation = plan(asked, {d.camera_id: COST for d in asked}, Capacity(cpu_ms))
    shed = [d for d in asked if allocation.services[d.camera_id].shed]
    kept = [d for d in asked if not allocation.services[d.camera_id].shed]
    if shed:
        # A look costs the same everywhere, but a busy camera has more of them, a calm one fewer keyframes.
        for lost in shed:
            least = spend(lost, slowest(lost), COST)
            cheaper = [d for d in kept if spend(d, slowest(d), COST) >= least]
            if lost.priority >= PROTECTED:  # shed for the floor of one more important
                continue
            assert all(d.priority >= lost.priority for d in cheaper)
        assert allocation.given_up[Tier.KEYFRAMES] == len(shed)
        assert all(allocation.services[d.camera_id].fps == 0 or d.priority >= 1 for d in kept)
    assert {short.camera_id for short in allocation.below_floor} >= {d.camera_id for d in shed if d.floors}


def test_shed_cameras_take_turns() -> None:
    ids = [f"c{k}" for k in range(10)]
    prices = dict.fromkeys(ids, COST)
    waited, turn, seen = dict.fromkeys(ids, 0.0), dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    before, swaps = None, []
    for _ in range(600):
        asked = [Demand(id_, 5, active_share=0, shed_s=waited[id_]) for id_ in ids]
        after = plan(asked, prices, Capacity(20 + 5 * 7.0), before)
        swaps.append(
            sum(before.services[id_].shed and not after.services[id_].shed for id_ in ids) if before else 0
        )
        before = after
        for id_, service in after.services.items():
            turn[id_] = 0 if service.shed else turn[id_] + 1
            # who gets a turn keeps the time that it waited for the turn's length, see `edge.control.Turns`
            waited[id_] = waited[id_] + 1 if service.shed else waited[id_] if turn[id_] < ROTATE_S else 0.0
            seen[id_] += not service.shed
    assert min(seen.values()) > 200
    assert max(swaps) == 1  # one after the other: opening a stream is dear
    assert max(waited.values()) <= 2 * ROTATE_S


@given(problems(), st.floats(0, 3000), st.none() | st.floats(0, 3000))
def test_keyframes_are_thinned_where_it_is_safe_alone(
    problem: tuple[list[Demand], dict[str, CameraCost]], cpu_ms: float, before: float | None
) -> None:
    asked, prices = problem
    previous = None if before is None else plan(asked, prices, Capacity(before))
    allocation = plan(asked, prices, Capacity(cpu_ms), previous)
    for demand in asked:
        service = allocation.services[demand.camera_id]
        assert service.pace_s in PACES_S
        if service.pace_s:
            assert demand.calm
            wakes = service.fps > 0 or demand.floor_fps > demand.keyframe_fps  # or it is told to be blind
            assert wakes or given_fps(demand, service) >= demand.floor_fps


def test_the_rest_of_the_keyframes_comes_last_and_goes_first() -> None:
    asked = [Demand(f"c{k}", 5, RULED, active_share=0.01, keyframe_fps=0.5, calm=True) for k in range(9)]
    prices = dict.fromkeys([d.camera_id for d in asked], COST)
    everything = plan(asked, prices, Capacity(math.inf)).cpu_ms
    for cpu_ms in np.linspace(0.5, 1.2, 30) * everything:
        services = plan(asked, prices, Capacity(float(cpu_ms))).services.values()
        thinned = {service.pace_s for service in services}
        assert len(thinned) == 1 or {service.fps for service in services} == {5.0}
        assert max(thinned) - min(thinned) <= 4.0  # equals are a step apart, at most


def test_who_is_watched_at_all_can_be_looked_at_when_it_moves() -> None:
    asked = [
        Demand(f"c{k:03}", 5, RULED, active_share=0.01, usual_share=0.1, keyframe_fps=0.5, calm=True)
        for k in range(300)
    ]
    prices = dict.fromkeys([d.camera_id for d in asked], COST)
    capacity = Capacity(2000.0)
    before = plan(asked, prices, capacity)
    served = [d.camera_id for d in asked if not before.services[d.camera_id].shed]
    assert 50 < len(served) < 120
    busy = {*served[:: len(served) // 7][:7]}  # a tenth of them, somewhat more
    moving = [
        replace(d, active_share=1.0, moving_tracks=1, calm=False) if d.camera_id in busy else d for d in asked
    ]
    after = plan(moving, prices, capacity, before)
    assert all(after.services[id_].fps >= 2 for id_ in busy)
    assert [id_ for id_ in served if after.services[id_].shed] == []


def _above(allocation: Allocation, tier: Tier) -> float:
    """CPU a second that goes to what is given up before `tier`, for cameras of RULED floors at COST."""
    extras = {
        Tier.PACE: lambda s, busy: 0 if busy or s.pace_s == PACES_S[0] else COST.keyframe_ms_per_s / 2,
        Tier.QUIET_RATE: lambda s, busy: 0 if busy or s.fps < 2 else (s.fps - 2) * _look(s),
        Tier.TILES: lambda s, busy: s.tiles * 2 * COST.tiles_ms,
        Tier.DENSITY: lambda s, busy: s.density * 1.5 * COST.density_ms,
        Tier.BUSY_RATE: lambda s, busy: 0 if not busy or s.fps < 2 else (s.fps - 2) * _look(s),
    }
    before = [t for t, _ in DEGRADATION[: [t for t, _ in DEGRADATION].index(tier)] if t in extras]
    return sum(
        extras[earlier](service, id_.startswith("b"))
        for id_, service in allocation.services.items()
        for earlier in before
    )


def _look(service: Service) -> float:
    return COST.look_ms + service.tiles * COST.tiles_ms + service.density * COST.density_ms


def test_what_is_given_up_follows_the_declared_order() -> None:
    """As capacity falls, a tier is touched only when what is left of those before it would not pay for it."""
    asked = [
        Demand(
            f"{kind}{k}",
            10,
            RULED,
            decode_share=float(kind == "b"),
            keyframe_fps=0.5,
            moving_tracks=int(kind == "b"),
            tiles=True,
            density=True,
            calm=kind == "q",
        )
        for k in range(3)
        for kind in "qb"
    ]
    largest = {
        Tier.QUIET_RATE: 5 * _look(Service(1, tiles=True, density=True)),
        Tier.TILES: 10 * COST.tiles_ms,
        Tier.DENSITY: 10 * COST.density_ms,
        Tier.BUSY_RATE: 5 * _look(Service(1, tiles=True, density=True)),
        Tier.FLOOR: COST.decode_ms_per_s + COST.look_ms,
        Tier.KEYFRAMES: COST.keyframe_ms_per_s + COST.look_ms,
    }
    given_up: Mapping[Tier, int] = {}
    for cpu_ms in range(6000, 0, -10):
        allocation = plan(asked, {d.camera_id: COST for d in asked}, Capacity(float(cpu_ms)))
        given_up = allocation.given_up
        for tier, step_ms in largest.items():
            if given_up[tier]:
                assert _above(allocation, tier) < step_ms
    assert given_up == dict.fromkeys(given_up, 6) | {Tier.QUIET_RATE: 3, Tier.BUSY_RATE: 3, Tier.PACE: 3}


def test_an_open_incident_keeps_its_rate_while_quiet_cameras_lose_theirs() -> None:
    asked = [
        Demand("incident", 10, RULED, open_incident=True),
        *(Demand(f"q{k}", 10, RULED) for k in range(5)),
    ]
    allocation = plan(asked, {d.camera_id: COST for d in asked}, Capacity(1250))
    assert allocation.services["incident"].fps == 10
    assert {allocation.services[f"q{k}"].fps for k in range(5)} == {2.0}
    assert not allocation.below_floor


def test_priority_decides_whose_floor_is_held() -> None:
    asked = [Demand(f"p{priority}", 5, RULED, priority=priority) for priority in (1, 5, 9)]
    allocation = plan(asked, {d.camera_id: COST for d in asked}, Capacity(250))
    assert allocation.services["p9"].fps >= 2
    assert allocation.services["p1"] == KEYFRAMES
    blind = [
        (short.camera_id, short.task, short.floor_fps, short.given_fps) for short in allocation.below_floor
    ]
    assert ("p1", "hazard.line", 2.0, 0.0) in blind
    assert not any(id_ == "p9" for id_, *_ in blind)


def test_a_camera_too_large_for_the_box_holds_up_nobody_else() -> None:
    asked = [Demand("huge", 5, RULED, priority=9), Demand("small", 5, RULED)]
    prices = {"huge": CameraCost(5, 20, 3000, 20), "small": COST}
    allocation = plan(asked, prices, Capacity(500))
    assert allocation.services["huge"] == KEYFRAMES
    assert allocation.services["small"].fps == 5


def test_keyframes_that_come_often_enough_hold_a_floor() -> None:
    asked = [
        Demand("often", 5, {"crowd.density": 0.5}, keyframe_fps=0.5),
        Demand("rare", 5, {"crowd.density": 0.5}),
    ]
    allocation = plan(asked, dict.fromkeys(("often", "rare"), COST), Capacity(70))
    assert allocation.services == {"often": KEYFRAMES, "rare": KEYFRAMES}
    assert [short.camera_id for short in allocation.below_floor] == ["rare"]


def test_the_inference_lane_is_a_limit_of_its_own() -> None:
    asked = [Demand(f"c{k}", 10, RULED) for k in range(4)]
    prices = {d.camera_id: COST for d in asked}
    allocation = plan(asked, prices, Capacity(cpu_ms=10_000, lane_ms=300))
    assert 160 <= allocation.lane_ms <= 300 * ENTRY
    assert allocation.load == pytest.approx(allocation.lane_ms / 300)
    on_accelerator = {id_: replace(cost, lane_ms=2.0) for id_, cost in prices.items()}
    assert all(
        service.fps == 10 for service in plan(asked, on_accelerator, Capacity(10_000, 300)).services.values()
    )


def test_nothing_to_spend_and_nobody_to_serve() -> None:
    empty = plan([], {}, Capacity(0))
    assert (empty.services, empty.load, empty.below_floor) == ({}, 0.0, ())
    allocation = plan([Demand("a", 5, RULED)], {"a": COST}, Capacity(0))
    assert allocation.services["a"] == SHED
    assert allocation.load == 0.0
    assert len(allocation.below_floor) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"wanted_fps": 0.0},
        {"priority": 10},
        {"active_share": 1.5},
        {"decode_share": -0.1},
        {"stale_s": math.inf},
        {"floors": {"hazard.fall": math.nan}},
    ],
)
def test_impossible_demands_are_refused(wrong: dict[str, object]) -> None:
    values: dict[str, object] = {"camera_id": "gate", "wanted_fps": 5.0} | wrong
    with pytest.raises(ValueError, match="gate"):
        Demand(**values)  # type: ignore[arg-type]


def test_impossible_costs_and_capacities_are_refused() -> None:
    with pytest.raises(ValueError, match="costs"):
        CameraCost(-1, 0, 0, 0)
    with pytest.raises(ValueError, match="capacity"):
        Capacity(-1)
    with pytest.raises(ValueError, match="two demands"):
        plan([Demand("a", 5), Demand("a", 5)], {"a": COST}, Capacity(100))
    with pytest.raises(KeyError):
        plan([Demand("a", 5)], {}, Capacity(100))


@given(st.floats(10, 2000))
def test_a_new_rate_needs_more_room_than_a_held_one(cpu_ms: float) -> None:
    asked = [Demand("a", 10)]
    allocation = plan(asked, {"a": COST}, Capacity(cpu_ms))
    assume(allocation.services["a"].fps > 0)
    assert allocation.cpu_ms <= ENTRY * cpu_ms + 1e-6
    held = plan(asked, {"a": COST}, Capacity(allocation.cpu_ms + 1e-6), allocation)
    assert held.services == allocation.services


def test_protected_floors_stand_while_others_are_shed() -> None:
    usual = [Demand(f"u{k:03}", 5, RULED, active_share=0.2) for k in range(200)]
    important = [Demand(f"p{k}", 5, RULED, priority=PROTECTED, active_share=1.0) for k in range(4)]
    asked = [*usual, *important]
    prices = {demand.camera_id: COST for demand in asked}
    allocation = plan(asked, prices, Capacity(1700))
    services = allocation.services
    assert all(services[demand.camera_id].fps >= 2 for demand in important)
    assert {short.camera_id for short in allocation.below_floor} == {demand.camera_id for demand in usual}
    assert any(services[demand.camera_id].shed for demand in usual)
    assert allocation.given_up[Tier.KEYFRAMES] == sum(service.shed for service in services.values())
