"""The budget in force: what is read of readers, mailbox and watches, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from structlog.testing import capture_logs

from edge.config import Config
from edge.control import TROUBLED_STEPS
from edge.costs import KEPT, Stream, load_table
from edge.governor import BoxTimes, Governor, box_times
from edge.seen import gather
from edge.spent import Spent
from streams.demand import Allocation
from streams.frame import Frame
from streams.mailbox import Mailbox
from streams.picture import ArrayPicture
from streams.reader import ReaderStatus
from streams.service import Service

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PICTURE = ArrayPicture(np.zeros((36, 64, 3), np.uint8))
HD = {"width": 1920, "height": 1080, "fps": 25.0, "keyframe_s": 2.0, "codec": "h264"}


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return NOW


class Reader:
    """Says what the script says, and notes what it is told."""

    def __init__(self) -> None:
        self.says = ReaderStatus("up", 0.0, trust="trusted", activity="active", **HD)
        self.granted: list[Service] = []

    def status(self) -> ReaderStatus:
        return self.says

    def set_service(self, level: Service) -> None:
        self.granted.append(level)


class Node:
    """A governor and what it governs, second by second."""

    def __init__(self, folder: Path, count: int = 2, **budget: object) -> None:
        cameras = [
            {
                "id": f"c{k}",
                "source": f"rtsp://192.0.2.{k + 1}/",
                "zones": [{"id": "stage", "polygon": [[0, 0], [1, 0], [1, 1]]}],
                "rules": [{"kind": "hazard.intrusion", "zone": "stage"}],
            }
            for k in range(count)
        ]
        self.config = Config.model_validate(
            {"node": {"data_dir": str(folder)}, "cameras": cameras, "budget": {"cores": 2.0, **budget}}
        )
        self.clock, self.cpu_s = Clock(), 0.0
        self.ids = [camera.id for camera in self.config.cameras]
        self.readers = {id_: Reader() for id_ in self.ids}
        self.mailbox = Mailbox(dict.fromkeys(self.ids, 0.5), self.clock)
        self.watches = {
            id_: SimpleNamespace(open_incidents=(), known=np.zeros((0, 4), np.float32), attention=False)
            for id_ in self.ids
        }
        self.idle_s = 0.0
        self.governor = Governor(
            self.config, self.readers, self.mailbox, self.clock, cpu_s=lambda: self.cpu_s, box=self.box
        )

    def box(self) -> BoxTimes:
        """Two cores, busy but for `idle_s`."""
        return BoxTimes(2 * self.clock.now_s, self.idle_s)

    def settle(self) -> None:
        """The first seconds, in which trouble does not count."""
        for _ in range(31):
            self.second()

    def step(self) -> Allocation | None:
        return self.governor.step(gather(self.readers, self.mailbox), self.watches)

    def second(self, spent: Mapping[str, tuple[float, int]] | None = None) -> None:
        """One second passes, in which each reader spends so much and calls so often."""
        self.clock.now_s += 1.0
        for reader in self.readers.values():
            total = dict(reader.says.spent)
            for stage, (ms, calls) in (spent or {}).items():
                before_ms, before_calls = total.get(stage, (0.0, 0))
                total[stage] = before_ms + ms, before_calls + calls
                self.cpu_s += ms / 1e3
            reader.says = with_(reader.says, spent=total)
        self.step()


def with_(status: ReaderStatus, **changes: object) -> ReaderStatus:
    fields = {name: getattr(status, name) for name in ReaderStatus.__dataclass_fields__}
    return ReaderStatus(**(fields | changes))


SPENT = {"demux": (7.5, 25), "keyframe": (9.0, 1), "decode": (100.0, 25)}


def test_a_plan_is_in_force_as_soon_as_it_is_made(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.governor.plan is None
    assert node.governor.service("c0") is None
    assert node.governor.services == {}
    node.second()
    assert node.governor.plan is not None
    for id_, reader in node.readers.items():
        assert reader.granted == [node.governor.service(id_)]
        assert reader.granted[0].fps == 5.0


def test_it_plans_once_a_second(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.step() is not None
    node.clock.now_s += 0.5
    assert node.step() is None
    node.clock.now_s += 0.5
    assert node.step() is not None


def test_what_readers_and_looks_spend_becomes_their_cost(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for _ in range(20):
        node.second(SPENT)
        for id_ in node.ids:
            node.governor.looked(id_, Spent(0.031, 31.0), 0.1)
    cost = node.governor.meter.cost("c0", Stream(kind="rtsp"))
    assert cost.demux_ms_per_s == pytest.approx(7.5)
    assert cost.decode_ms_per_s == pytest.approx(100.0)
    assert cost.keyframe_ms_per_s == pytest.approx(4.5)
    assert cost.look_ms == pytest.approx(31.0)


def test_a_full_box_serves_whom_it_must_and_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path, count=40)
    for _ in range(3):
        node.second(SPENT)
    plan = node.governor.plan
    assert plan is not None
    assert plan.below_floor
    assert plan.cpu_ms <= 1.12 * 2000 * 0.9
    assert any(reader.granted[-1].fps >= 1 for reader in node.readers.values())


def test_an_open_incident_goes_first_in_plan_and_mailbox(tmp_path: Path) -> None:
    node = Node(tmp_path, count=40)
    node.watches["c39"].open_incidents = ("hazard.intrusion/stage",)
    node.second(SPENT)
    assert node.governor.services["c39"].fps >= 1
    assert node.governor.services["c39"] >= max(node.governor.services.values())


def test_old_pictures_are_too_much(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.settle()
    before = node.governor.plan.capacity.cpu_ms
    for _ in range(TROUBLED_STEPS):
        for _ in range(100):
            node.governor.looked("c0", Spent(0.001, 1.0), 0.49)
        node.second()
    cut = node.governor.plan.capacity.cpu_ms
    assert cut < before


def test_unread_packets_are_too_much(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.settle()
    reader = node.readers["c0"]
    for step in range(1, TROUBLED_STEPS + 1):
        reader.says = with_(reader.says, late=1000 * step)
        node.second()
    assert node.governor.plan.capacity.cpu_ms < 2000 * 0.9


def test_old_pictures_on_an_idle_box_are_no_reason_to_do_less(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.settle()
    for _ in range(5):
        for _ in range(100):
            node.governor.looked("c0", Spent(0.001, 1.0), 0.49)
        node.idle_s += 1.9
        node.second()
    assert node.governor.plan.capacity.cpu_ms == pytest.approx(2000 * 0.9)


def test_a_box_with_one_busy_inference_lane_is_full_all_the_same(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.settle()
    for _ in range(TROUBLED_STEPS):
        for _ in range(40):
            node.governor.looked("c0", Spent(0.025, 5.0), 0.49)
        node.idle_s += 1.9
        node.second()
    assert node.governor.plan.capacity.cpu_ms < 2000 * 0.9


def test_what_the_box_does_is_read_from_the_kernel(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 0 5 80 5 0 0 0 0 0\ncpu0 1 2 3\n")
    assert box_times(stat) == BoxTimes(100, 85)
    stat.write_text("something else\n")
    assert box_times(stat) is None
    assert box_times(tmp_path / "missing") is None
    assert box_times() is not None


def test_ages_of_long_ago_do_not_count(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for _ in range(100):
        node.governor.looked("c0", Spent(0.001, 1.0), 0.49)
    node.clock.now_s += 6
    node.second()
    assert node.governor.plan.capacity.cpu_ms == pytest.approx(2000 * 0.9)


def test_lost_pictures_are_read_from_the_mailbox(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.settle()
    for _ in range(TROUBLED_STEPS):
        for k in range(20):
            node.mailbox.offer(Frame("c0", PICTURE, 0.2 * k, node.clock.now_s, NOW))
        node.second()
    assert node.governor.plan.capacity.cpu_ms < 2000 * 0.9


def test_several_inference_threads_cost_several_times_what_one_of_them_says(tmp_path: Path) -> None:
    node = Node(tmp_path)
    threaded = node.config.model_copy(update={"model": node.config.model.model_copy(update={"threads": 2})})
    governor = Governor(threaded, node.readers, node.mailbox, node.clock, cpu_s=lambda: 0.0, box=lambda: None)
    for _ in range(20):
        governor.looked("c0", Spent(0.015, 15.0), 0.1)
    assert governor.meter.cost("c0", Stream()).look_ms == pytest.approx(30.0)


def test_what_was_measured_is_kept_for_the_next_start(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for _ in range(20):
        node.second(SPENT)
    node.governor.keep()
    kept = load_table(tmp_path / KEPT)
    assert kept.machine == "this node, as measured"
    started = Node(tmp_path)
    assert started.governor.meter.cost("c0", Stream()).decode_ms_per_s == pytest.approx(100.0, rel=0.01)


def test_costs_that_cannot_be_read_are_said_and_left_aside(tmp_path: Path) -> None:
    (tmp_path / KEPT).write_text("{")
    with capture_logs() as logs:
        node = Node(tmp_path)
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert node.governor.meter.table == load_table()


def test_a_full_disk_costs_the_kept_figures_alone(tmp_path: Path) -> None:
    node = Node(tmp_path / "missing")
    with capture_logs() as logs:
        node.governor.keep()
    assert logs[0]["event"] == "measured costs are not kept"


def test_a_camera_that_has_not_been_seen_is_planned_as_configured(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.readers["c0"].says = ReaderStatus("connecting", 0.0)
    node.second()
    assert node.governor.services["c0"].fps == 5.0
