"""The truth about crowds, on crowds made by hand whose answers are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sim import crowds
from streams.sim.chronicle import Chronicle
from streams.sim.crowds import Look, People, look
from streams.sim.moments import moments
from streams.sim.places import PLACES
from streams.sim.truth import TruthFlow
from streams.sim.world import TICK_S, Stop, World

ZONE = np.array([(0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0)])
CALM = Look(0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0, 0, 0.0)


def _people(at, velocity=(0.0, 0.0), way=(0.0, 0.0)) -> People:
    at = np.asarray(at, float)
    velocity, way = (np.broadcast_to(value, at.shape).astype(float) for value in (velocity, way))
    return People(at, velocity, np.hypot(*velocity.T), way, np.zeros(len(at), bool))


def _lattice(per_m2: float) -> np.ndarray:
    ticks = np.arange(4.0, 16.0, per_m2**-0.5)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def _series(**values) -> list[Look]:
    """Looks five times a second with the given series of values."""
    columns = {name: np.asarray(series) for name, series in values.items()}
    count = len(next(iter(columns.values())))
    return [
        Look(**{field: getattr(CALM, field) for field in Look.__slots__}
             | {"time_s": k / 5} | {name: series[k].item() for name, series in columns.items()})
        for k in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("per_m2", [1.0, 3.0, 6.0])
def test_of_a_lattice_the_density_is_known(per_m2: float) -> None:
    found = look(0.0, _people(_lattice(per_m2)), ZONE)
    assert found.worst_cell_per_m2 == pytest.approx(per_m2, rel=0.3)
    assert (found.moving_per_m2, found.standing_per_m2) == (0.0, found.worst_cell_per_m2)
    middle = crowds.local_density(np.array([(10.0, 10.0)]), _lattice(per_m2))
    assert middle == pytest.approx([per_m2], rel=0.05)


def test_moving_crowds_are_held_against_lower_thresholds() -> None:
    walking = look(0.0, _people(_lattice(4.0), (0.5, 0.0)), ZONE)
    assert walking.standing_per_m2 == 0.0
    assert crowds.level_shares([walking], 2)[0] >= 1.0
    standing = look(0.0, _people(_lattice(4.0)), ZONE)
    assert crowds.level_shares([standing], 2)[0] < crowds.level_shares([walking], 2)[0]


def test_counterflow_needs_two_ways_in_one_cell() -> None:
    at = _lattice(4.0)
    way = np.where(np.arange(len(at))[:, None] % 2, (1.0, 0.0), (-1.0, 0.0))
    assert look(0.0, _people(at, way=way), ZONE).against_per_m2 > 3.0
    assert look(0.0, _people(at, way=(1.0, 0.0)), ZONE).against_per_m2 == 0.0
    apart = np.where(at[:, :1] > 10.0, (0.0, 1.0), (0.0, -1.0))
    shares = look(0.0, _people(at, way=apart), ZONE)
    assert shares.against_per_m2 > 0.0  # where the two lanes touch


def test_pressure_is_density_times_variance() -> None:
    at = _lattice(4.0)
    sign = np.where(np.arange(len(at)) % 2, 1.0, -1.0)[:, None]
    density, pressure = crowds.local_pressure(np.array([(10.0, 10.0)]), at, sign * (0.1, 0.0))
    assert pressure == pytest.approx(density * 0.01, rel=0.02)
    _, none = crowds.local_pressure(np.array([(10.0, 10.0)]), at, np.broadcast_to((1.0, 0.5), at.shape))
    assert none == pytest.approx([0.0], abs=1e-9)


@given(st.permutations(range(40)))
def test_who_is_who_changes_nothing(order) -> None:
    rng = np.random.default_rng(3)
    at, velocity = rng.uniform(5, 9, (40, 2)), rng.normal(0, 0.4, (40, 2))
    one, other = (
        look(0.0, _people(at[rows], velocity[rows], velocity[rows]), ZONE) for rows in (range(40), order)
    )
    assert one == other


def test_an_empty_zone_is_calm() -> None:
    assert look(0.0, _people(np.zeros((0, 2))), ZONE) == CALM
    assert moments((), (), "z") == ()


def test_thresholds_are_crossed_between_looks() -> None:
    times, values = np.arange(5.0), np.array([0.0, 1.0, 0.5, 2.0, 3.0])
    assert crowds.crossing_times(times, values, 0.75) == pytest.approx([0.75, 2 + 0.25 / 1.5])
    assert crowds.crossing_times(times, values + 1, 0.75) == pytest.approx([0.0])


def test_spans_have_hysteresis_join_lulls_and_leave_out_peaks() -> None:
    times = np.arange(0.0, 40.0, 0.2)
    values = np.where((times >= 5) & (times < 20), 1.2, 0.5)
    values[(times >= 10) & (times < 13)] = 0.2
    values[(times >= 20) & (times < 22)] = 0.9
    values[(times >= 35) & (times < 37)] = 2.0
    ((begin, end, peak),) = crowds.spans(times, values)
    assert (begin, end, peak) == (pytest.approx(5.0), pytest.approx(21.8), 1.2)


def test_flow_is_persons_per_metre_and_minute() -> None:
    crossed = np.arange(0.0, 60.0, 0.5)
    flow = crowds.flow_per_m_min(crossed, 2.0, np.array([30.0, 60.0, 90.0]), 10.0)
    assert flow == pytest.approx([60.0, 57.0, 0.0])
    with pytest.raises(ValueError, match="positive"):
        crowds.flow_per_m_min(crossed, 0.0, crossed, 10.0)


def test_a_crowd_that_thickens_reaches_level_after_level() -> None:
    density = np.concatenate((np.linspace(0, 6, 150), np.linspace(6, 0, 150)))
    found = moments(_series(standing_per_m2=density, worst_cell_per_m2=density), (), "z")
    assert [(m.kind, m.level) for m in found] == [("crowd.density", level) for level in (4, 3, 2, 1)]
    assert [m.begin_s for m in found] == pytest.approx([x / 6 * 29.8 for x in (3.0, 3.6, 4.7, 5.5)], abs=0.3)
    assert all(m.peak == 6.0 for m in found)


def test_a_few_runners_are_no_surge_and_many_are() -> None:
    def surges(runners: int):
        running = np.zeros(100, int)
        running[40:55] = runners
        return moments(_series(running=running, count=np.full(100, 60)), (), "z")

    assert surges(4) == ()
    (one,) = surges(25)
    assert (one.kind, one.people) == ("crowd.surge", 25)
    assert (one.begin_s, one.end_s) == pytest.approx((8.0, 10.8))


def test_more_than_a_gate_should_pass_is_told() -> None:
    gate = TruthFlow("gate", ((0.0, 0.0), (2.0, 0.0)), tuple(np.arange(10, 40, 0.3)), ())
    assert gate.width_m == 2.0
    (over,) = moments(_series(count=np.zeros(250, int)), (gate,), "z")
    assert (over.kind, over.sign, over.zone) == ("crowd.flow", "over_capacity", "gate")
    assert over.peak == pytest.approx(100.0, rel=0.05)
    slow = TruthFlow("gate", gate.ground, tuple(np.arange(0, 50, 1.0)), ())
    assert moments(_series(count=np.zeros(250, int)), (slow,), "z") == ()


def test_a_queue_that_stops_and_goes_is_told() -> None:
    gate = TruthFlow("gate", ((0.0, 0.0), (2.0, 0.0)), tuple(np.arange(0, 50, 1.0)), ())
    looks = _series(crowded=np.full(250, 40), started=np.full(250, 30))
    (found,) = moments(looks, (gate,), "z")
    assert (found.sign, found.peak) == ("stop_and_go", 0.75)
    assert moments(_series(crowded=np.full(250, 40), started=np.full(250, 5)), (gate,), "z") == ()


def test_pressure_must_last() -> None:
    pressed = np.full(250, 0.03)
    (found,) = moments(_series(pressed_per_s2=pressed), (), "z")
    assert (found.kind, found.level, found.peak) == ("crowd.pressure", 1, 0.03)
    pressed[40:] = 0.0
    assert moments(_series(pressed_per_s2=pressed), (), "z") == ()


def test_the_chronicle_sees_ways_paces_and_starts() -> None:
    place = PLACES["stadium"]
    world, chronicle = World(np.zeros((0, 2, 2)), np.zeros((0, 2, 2))), Chronicle(place)
    world.enter((0.0, 15.0), [Stop((0.0, 13.5), until_s=4.0), Stop((0.0, 4.0), until_s=99.0)], speed=1.3)
    for _ in range(round(8.0 / TICK_S)):
        world.step()
        chronicle(world.time_s, world.crowd)
    (front, *others) = chronicle.flows(8.0)
    assert (len(front.right_s), len(front.left_s)) == (1, 0)
    assert all(not flow.right_s and not flow.left_s for flow in others)
    looks = chronicle.looks(5.0)
    assert looks[-1].time_s <= 5.0
    assert max(one.mean_speed_m_s for one in looks) == pytest.approx(1.3, abs=0.1)
    assert any(one.standing_per_m2 > 0 for one in looks)
    assert chronicle.moments(8.0) == ()


@pytest.mark.parametrize(
    ("per_m2", "speed_m_s", "runs"),
    [(0.3, 1.9, False), (0.3, 2.1, True), (3.0, 1.5, True), (3.0, 0.5, False), (5.0, 1.2, False)],
)
def test_who_runs_is_faster_than_anybody_walks_at_that_density(per_m2, speed_m_s, runs):
    assert crowds.runs(np.array([speed_m_s]), np.array([per_m2])).tolist() == [runs]
