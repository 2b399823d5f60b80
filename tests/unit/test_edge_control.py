"""The control loop: on a simulated box whose costs the controller does not know."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Config
from edge.control import (
    CUT_EVERY_S,
    GRACE_S,
    IDLE_RESERVE,
    LEAST_CAPACITY,
    REALISED_BOUNDS,
    RECOVER_AFTER_S,
    TROUBLED_STEPS,
    CameraReading,
    Controller,
    Headroom,
    NodeReading,
    Realised,
    assumed_stream,
    capacity_of,
    usable_cores,
    with_lane,
)
from edge.costs import CostMeter, CostTable, Stream
from streams.demand import Allocation, CameraCost

TABLE = CostTable(
    machine="a test's",
    demux_ms={"rtsp": 0.3},
    decode_ms_per_mp={"h264": 2.2},
    keyframe_ms_per_mp={"h264": 8.0},
    motion_ms=0.4,
    look_ms={"nanodet-g-416-int8": 20.0},
    node_ms_per_s=20.0,
)


def config_of(count: int, **budget: object) -> Config:
    cameras = [
        {
            "id": f"c{k:02}",
            "source": f"rtsp://192.0.2.{k + 1}/",
            "priority": 1 + k % 9,
            "zones": [{"id": "stage", "polygon": [[0, 0], [1, 0], [1, 1]]}],
            "rules": [{"kind": "hazard.intrusion", "zone": "stage"}],
        }
        for k in range(count)
    ]
    return Config.model_validate({"cameras": cameras, "budget": {"cores": 2.0, **budget}})


@dataclass
class Box:
    """A node whose cameras cost `factor` times what the table says, and that loses what it cannot do."""

    config: Config
    factor: float = 1.0
    told: bool = True
    neighbour_ms: float = 0.0
    moving: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.meter = CostMeter(TABLE, self.config.model.detector)
        self.controller = Controller(self.config, self.meter)
        self.now_s = 100.0
        self.cpu_s = 0.0
        self.done: dict[str, list[int]] = {camera.id: [0, 0] for camera in self.config.cameras}
        self.lost_last = 0

    def run(self, seconds: int) -> list[Allocation]:
        return [self.second() for _ in range(seconds)]

    def second(self) -> Allocation:
        readings = {
            id_: CameraReading(
                up=True,
                stream=Stream(),
                activity="active" if id_ in self.moving else "idle",
                delivered=delivered,
                lost=lost,
            )
            for id_, (delivered, lost) in self.done.items()
        }
        allocation = self.controller.step(self.now_s, NodeReading(readings, self.cpu_s))
        self.now_s += 1.0
        self._work(allocation)
        return allocation

    def _work(self, allocation: Allocation) -> None:
        """A second of the node's life: what does not fit into two cores is lost."""
        table, stream = self.meter.table, Stream()
        need = table.node_ms_per_s + self.neighbour_ms
        for camera in self.config.cameras:
            service = allocation.services[camera.id]
            if service.shed:
                continue
            active = camera.id in self.moving
            calls = {"demux": 25, "keyframe": 1, "decode": 25 * (active and service.fps > 0)}
            calls["look"] = round(service.fps if active else 0)
            for stage in ("demux", "keyframe", "decode", "look"):
                if calls[stage]:
                    ms = table.unit_ms(stage, stream, self.meter.detector) * self.factor * calls[stage]  # type: ignore[arg-type]
                    need += ms
                    if self.told:
                        self.meter.add(camera.id, stage, ms, calls[stage])  # type: ignore[arg-type]
        there = 2000.0
        share = min(1.0, there / need)
        self.cpu_s += (min(need, there) - self.neighbour_ms) / 1e3
        self.lost_last = 0
        for camera in self.config.cameras:
            wanted = 5 if camera.id in self.moving else 0
            delivered = round(wanted * share)
            self.done[camera.id][0] += delivered
            self.done[camera.id][1] += wanted - delivered
            self.lost_last += wanted - delivered


def test_calm_cameras_all_get_what_they_want() -> None:
    box = Box(config_of(20))
    allocation = box.run(60)[-1]
    assert {service.fps for service in allocation.services.values()} == {5.0}
    assert not allocation.below_floor
    assert allocation.load < 1


def test_what_is_active_beyond_the_box_is_planned_down_by_priority() -> None:
    box = Box(config_of(20))
    box.moving = {camera.id for camera in box.config.cameras}
    allocation = box.run(60)[-1]
    blind = {short.camera_id for short in allocation.below_floor}
    priority = {camera.id: camera.priority for camera in box.config.cameras}
    assert blind
    assert max(priority[id_] for id_ in blind) <= min(priority[id_] for id_ in priority if id_ not in blind)
    assert allocation.cpu_ms <= allocation.capacity.cpu_ms * 1.12 + 1e-6
    assert box.lost_last == 0


def test_costs_twice_as_high_are_learnt_and_nothing_stays_lost() -> None:
    box = Box(config_of(14), factor=2.0)
    box.moving = {camera.id for camera in box.config.cameras}
    box.run(120)
    assert box.lost_last == 0
    assert box.controller.used_ms == pytest.approx(box.controller.allocation.cpu_ms, rel=0.15)  # type: ignore[union-attr]


@pytest.mark.parametrize(("factor", "neighbour_ms"), [(2.5, 0.0), (1.0, 1000.0)])
def test_overload_that_no_cost_explains_lowers_the_capacity(factor: float, neighbour_ms: float) -> None:
    """Nothing is told to the meter, or a neighbour eats half of the box: loss alone says so."""
    box = Box(config_of(14), factor=factor, told=False, neighbour_ms=neighbour_ms)
    box.moving = {camera.id for camera in box.config.cameras}
    losses = []
    for _ in range(240):
        box.second()
        losses.append(box.lost_last)
    assert max(losses[:20]) > 0
    assert sum(loss > 0 for loss in losses[120:]) <= 15
    assert box.controller.headroom.share < 0.7
    box.neighbour_ms, box.factor = 0.0, 1.0
    box.run(900)
    assert box.controller.headroom.share > 0.95


def test_the_overhead_is_what_cameras_do_not_explain() -> None:
    box = Box(config_of(4))
    box.moving = {"c00", "c01"}
    box.neighbour_ms = 0.0
    box.meter.table = TABLE.model_copy(update={"node_ms_per_s": 90.0})
    box.run(200)
    assert box.controller.overhead_ms == pytest.approx(90.0, rel=0.05)


def test_a_camera_that_is_away_costs_nothing_and_comes_back_to_what_it_had() -> None:
    config = config_of(3)
    controller = Controller(config, CostMeter(TABLE, "nanodet-g-416-int8"))
    allocation = controller.step(0.0, NodeReading({}, 0.0))
    assert allocation.cpu_ms == TABLE.node_ms_per_s
    assert {service.fps for service in allocation.services.values()} == {5.0}
    back = {"c01": CameraReading(up=True, activity="active")}
    allocation = controller.step(1.0, NodeReading(back, 0.1))
    assert allocation.services["c01"].fps == 5.0
    assert allocation.camera_ms["c00"] == 0 < allocation.camera_ms["c01"]


def test_a_gate_that_cannot_tell_and_one_that_is_off_are_paid_for() -> None:
    config = config_of(2)
    off = config.model_copy(
        update={"cameras": tuple(c.model_copy(update={"gate": "off"}) for c in config.cameras)}
    )
    loads = {}
    for name, used, trusted in (("gated", config, True), ("untrusted", config, False), ("off", off, True)):
        controller = Controller(used, CostMeter(TABLE, "nanodet-g-416-int8"))
        readings = {id_: CameraReading(up=True, trusted=trusted) for id_ in ("c00", "c01")}
        for second in range(40):
            loads[name] = controller.step(float(second), NodeReading(readings, 0.0)).cpu_ms
    assert loads["gated"] < 0.4 * loads["untrusted"] < loads["off"]


def test_shed_equals_take_turns_of_half_a_minute() -> None:
    """Eight equal cameras where there is room for three: each is seen, and for more than a blink."""
    config = config_of(8, cores=0.05, target_load=0.8)
    alike = tuple(camera.model_copy(update={"priority": 5, "gate": "auto"}) for camera in config.cameras)
    config = config.model_copy(update={"cameras": alike})
    costly = TABLE.model_copy(update={"demux_ms": {"rtsp": 0.0}, "node_ms_per_s": 1.0})
    controller = Controller(config, CostMeter(costly, "nanodet-g-416-int8"))
    readings = {camera.id: CameraReading(up=True, attention=True) for camera in alike}
    served: dict[str, list[bool]] = {camera.id: [] for camera in alike}
    for second in range(600):
        allocation = controller.step(float(second), NodeReading(readings, 0.0))
        for id_, seen in served.items():
            seen.append(not allocation.services[id_].shed)
    assert all(0.1 < sum(seen) / 600 < 0.9 for seen in served.values())
    turns = [len(list(run)) for seen in served.values() for there, run in groupby(seen[100:500]) if there]
    assert sorted(turns)[len(turns) // 2] >= 20


def test_activity_is_forgotten_slowly() -> None:
    box = Box(config_of(1))
    box.moving = {"c00"}
    active = box.second().camera_ms["c00"]
    box.moving = set()
    calmer = [allocation.camera_ms["c00"] for allocation in box.run(30)]
    assert active > calmer[0] > calmer[1] > calmer[-1]
    assert calmer[-1] < active * 3 * IDLE_RESERVE + 20


def test_what_is_usual_for_a_camera_is_learnt_slowly() -> None:
    box = Box(config_of(2))
    box.moving = {"c00"}
    box.run(900)
    usual = box.controller.usual
    assert usual["c00"] > 0.7
    assert usual["c01"] < 0.05


def test_plans_learn_what_they_cost_in_truth() -> None:
    realised = Realised()
    for _ in range(300):
        realised.step(1.0, 800.0, 1000.0, full=False)
    assert realised.share == pytest.approx(0.8, abs=0.01)
    for _ in range(300):
        realised.step(1.0, 1100.0, 1000.0, full=True)
    assert realised.share == pytest.approx(1.1, abs=0.01)


def test_what_a_full_box_spends_does_not_make_plans_larger() -> None:
    realised = Realised()
    for _ in range(300):
        realised.step(1.0, 100.0, 1000.0, full=True)
    assert realised.share == 1.0


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.booleans()), max_size=100))
def test_no_measurement_makes_plans_absurd(steps: list[tuple[float, float, bool]]) -> None:
    realised = Realised()
    for spent_ms, planned_ms, full in steps:
        realised.step(1.0, spent_ms, planned_ms, full=full)
        assert REALISED_BOUNDS[0] <= realised.share <= REALISED_BOUNDS[1]


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.booleans(), st.floats(0, 1.2)), max_size=60))
def test_headroom_stays_within_its_bounds(steps: list[tuple[float, bool, float]]) -> None:
    headroom, now_s, cuts = Headroom(), 0.0, []
    for dt_s, trouble, used in steps:
        now_s += dt_s
        before, count = headroom.share, headroom.cuts
        share = headroom.step(now_s, used, trouble=trouble)
        assert LEAST_CAPACITY <= share <= 1
        if headroom.cuts > count:
            cuts.append(now_s)
        elif trouble:
            assert share == before
        assert share <= before + 0.01 * dt_s + 1e-9
    assert all(later - earlier >= CUT_EVERY_S - 1e-9 for earlier, later in itertools.pairwise(cuts))


def test_headroom_waits_before_it_recovers() -> None:
    headroom = Headroom()
    cut = headroom.step(0.0, 1.0, trouble=True)
    assert cut == pytest.approx(0.9)
    assert headroom.step(RECOVER_AFTER_S - 1, 1.0, trouble=False) == cut
    assert headroom.step(RECOVER_AFTER_S + 1, 1.0, trouble=False) > cut


def test_old_pictures_are_overload_too_but_for_the_first_seconds() -> None:
    controller = Controller(config_of(1), CostMeter(TABLE, "nanodet-g-416-int8"))
    readings = {"c00": CameraReading(up=True)}
    for second in range(int(GRACE_S)):
        controller.step(float(second), NodeReading(readings, 0.0, age_p50_s=0.45))
    controller.step(GRACE_S, NodeReading(readings, 0.0, age_p50_s=0.29))
    for second in range(1, TROUBLED_STEPS):
        controller.step(GRACE_S + second, NodeReading(readings, 0.0, age_p50_s=0.45))
    assert controller.headroom.cuts == 0
    controller.step(GRACE_S + TROUBLED_STEPS, NodeReading(readings, 0.0, age_p50_s=0.45))
    assert controller.headroom.cuts == 1


def test_capacity_comes_from_the_configuration_or_the_box(tmp_path: Path) -> None:
    budget = config_of(1).budget
    assert capacity_of(budget, 1, 20.0).cpu_ms == pytest.approx(1800)
    assert capacity_of(budget, 1, 20.0).lane_ms == pytest.approx(900)
    assert capacity_of(budget, 2, 20.0).lane_ms == pytest.approx(900)
    assert capacity_of(budget, 4, 0.0).lane_ms == pytest.approx(450)  # four threads on two cores
    own = capacity_of(replace_cores(budget), 1, 0.0)
    assert own.cpu_ms == pytest.approx(usable_cores() * 900)
    quota = tmp_path / "cpu.max"
    quota.write_text("50000 100000\n")
    assert usable_cores(quota) == 0.5
    quota.write_text("max 100000\n")
    assert usable_cores(quota) == usable_cores(tmp_path / "none") >= 1


def replace_cores(budget: object) -> object:
    return budget.model_copy(update={"cores": None})  # type: ignore[attr-defined]


def test_threads_shorten_the_lane_and_not_the_work() -> None:
    cost = CameraCost(1, 2, 3, 20, tiles_ms=5)
    assert with_lane(cost, 1) is cost
    assert with_lane(cost, 4) == replace(cost, lane_ms=5.0)
    assert assumed_stream(config_of(1, picture_size=[1280, 720]).budget).width == 1280
