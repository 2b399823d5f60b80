"""Costs: the table that ships, and how measured ones refine it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.costs import STAGES, CostError, CostMeter, CostTable, Stage, Stream, load_table, save_table

DETECTOR = "nanodet-g-416-int8"
HEADS = "heads-448-int8"
FIRE = "flames"
TABLE = CostTable(
    machine="a test's",
    demux_ms={"rtsp": 0.3, "http": 0.3, "file": 0.1, "sim": 1.0},
    demux_ms_per_mp={"sim": 10.0},
    decode_ms_per_mp={"h264": 2.0, "other": 3.0},
    keyframe_ms_per_mp={"h264": 5.0, "other": 8.0},
    motion_ms=0.5,
    look_ms={DETECTOR: 20.0, "other": 50.0},
    node_ms_per_s=20.0,
)
HD = Stream()


def test_the_table_that_ships_knows_every_stage_and_names_its_machine() -> None:
    table = load_table()
    assert table.machine
    for kind in ("rtsp", "http", "file", "sim"):
        stream = Stream(kind=kind)
        assert all(table.unit_ms(stage, stream, DETECTOR, HEADS, FIRE) > 0 for stage in STAGES)


def test_costs_grow_with_the_picture_and_the_codec() -> None:
    assert TABLE.unit_ms("decode", HD, DETECTOR) == pytest.approx(2.0736 * 2 + 0.5 * 5 / 25)
    assert TABLE.unit_ms("keyframe", HD, DETECTOR) == pytest.approx(2.0736 * 5 + 0.5)
    assert TABLE.unit_ms("decode", Stream(3840, 2160), DETECTOR) == pytest.approx(4 * 2.0736 * 2 + 0.1)
    assert TABLE.unit_ms("decode", Stream(codec="av1"), DETECTOR) > TABLE.unit_ms("decode", HD, DETECTOR)
    assert TABLE.unit_ms("demux", Stream(1000, 1000, kind="sim"), DETECTOR) == pytest.approx(11.0)
    assert TABLE.unit_ms("look", HD, "unknown") == 50.0


def test_a_camera_costs_by_the_second_what_its_stages_cost() -> None:
    cost = CostMeter(TABLE, DETECTOR).cost("gate", HD)
    assert cost.demux_ms_per_s == pytest.approx(7.5)
    assert cost.keyframe_ms_per_s == pytest.approx(TABLE.unit_ms("keyframe", HD, DETECTOR) / 2)
    assert cost.decode_ms_per_s == pytest.approx(TABLE.unit_ms("decode", HD, DETECTOR) * 25)
    assert (cost.look_ms, cost.tiles_ms) == (20.0, 30.0)


def test_heads_are_counted_at_a_cost_of_their_own() -> None:
    assert CostMeter(TABLE, DETECTOR).cost("gate", HD).density_ms == 0.0
    meter = CostMeter(TABLE, DETECTOR, HEADS)
    assert meter.cost("gate", HD).density_ms == 14.0
    meter.add("gate", "density", 90.0, 10)
    assert meter.cost("gate", HD).density_ms == pytest.approx(9.0)
    assert meter.cost("gate", HD).look_ms == 20.0


def test_a_closer_look_is_told_apart_from_the_usual_one() -> None:
    meter = CostMeter(TABLE, DETECTOR)
    for _ in range(20):
        meter.add_look("gate", 10.0, closely=False)
    for _ in range(20):
        meter.add_look("gate", 17.0, closely=True)
    cost = meter.cost("gate", HD)
    assert (cost.look_ms, cost.tiles_ms) == pytest.approx((10.0, 7.0))
    assert meter.total_ms == pytest.approx(20 * 10 + 20 * 17)


def test_keyframes_that_come_at_every_picture_are_not_all_looked_at() -> None:
    assert Stream(keyframe_s=0.04).keyframe_fps == 2.0
    assert Stream(keyframe_s=10).keyframe_fps == 0.1
    assert Stream(fps=1, keyframe_s=0.1).keyframe_fps == 1


def test_looking_for_fire_costs_where_it_is_looked_for() -> None:
    meter = CostMeter(TABLE, DETECTOR, HEADS, FIRE)
    assert meter.cost("gate", HD).fire_ms == 0.0
    assert meter.cost("gate", HD, fire=True).fire_ms == 50.0
    assert CostMeter(TABLE, DETECTOR).cost("gate", HD, fire=True).fire_ms == 0.0
    meter.add("gate", "fire", 900.0, 10)
    assert meter.cost("gate", HD, fire=True).fire_ms == pytest.approx(90.0)


def _tell(meter: CostMeter, camera_id: str, factor: float, calls: int = 1000) -> None:
    for stage in STAGES:
        meter.add(camera_id, stage, TABLE.unit_ms(stage, HD, DETECTOR, HEADS, FIRE) * factor * calls, calls)


def test_a_camera_that_was_measured_costs_what_was_measured() -> None:
    meter = CostMeter(TABLE, DETECTOR)
    meter.seen("gate", HD)
    _tell(meter, "gate", 1.7)
    expected = CostMeter(TABLE, DETECTOR).cost("gate", HD)
    assert meter.cost("gate", HD).decode_ms_per_s == pytest.approx(expected.decode_ms_per_s * 1.7)
    assert meter.cost("gate", HD).look_ms == pytest.approx(34.0)


def test_a_few_calls_are_not_believed() -> None:
    meter = CostMeter(TABLE, DETECTOR)
    meter.seen("gate", HD)
    meter.add("gate", "look", 500.0, 1)
    assert meter.cost("gate", HD).look_ms == 20.0


def test_what_one_camera_shows_of_the_box_goes_for_those_that_have_shown_nothing() -> None:
    meter = CostMeter(TABLE, DETECTOR, HEADS, FIRE)
    for camera_id, factor in (("a", 0.5), ("b", 0.6), ("c", 3.0)):
        meter.seen(camera_id, HD)
        _tell(meter, camera_id, factor)
    assert meter.factors() == pytest.approx(dict.fromkeys(STAGES, 0.6))
    new = Stream(640, 360)
    assert meter.cost("new", new).decode_ms_per_s == pytest.approx(
        TABLE.unit_ms("decode", new, DETECTOR) * 25 * 0.6
    )


def test_another_picture_size_makes_what_was_measured_void() -> None:
    meter = CostMeter(TABLE, DETECTOR)
    meter.seen("gate", HD)
    _tell(meter, "gate", 2.0)
    meter.seen("gate", Stream(fps=12.5))
    assert meter.cost("gate", HD).look_ms == pytest.approx(40.0)
    meter.seen("gate", Stream(3840, 2160))
    assert meter.cost("gate", HD).look_ms == 20.0


@given(
    st.sampled_from(STAGES),
    st.lists(st.tuples(st.floats(0.1, 100), st.integers(1, 40)), min_size=1, max_size=40),
)
def test_an_average_stays_between_its_extremes(stage: Stage, told: list[tuple[float, int]]) -> None:
    meter = CostMeter(TABLE, DETECTOR)
    for ms, calls in told:
        meter.add("gate", stage, ms * calls, calls)
    meter.add("gate", stage, told[-1][0] * 200, 200)
    measured = meter.unit_ms("gate", stage, HD)
    assert min(ms for ms, _ in told) - 1e-6 <= measured <= max(ms for ms, _ in told) + 1e-6
    assert meter.total_ms == pytest.approx(sum(ms * calls for ms, calls in told) + told[-1][0] * 200)


def test_an_average_follows_a_change() -> None:
    meter = CostMeter(TABLE, DETECTOR)
    meter.add("gate", "look", 20.0 * 500, 500)
    for _ in range(100):
        meter.add("gate", "look", 40.0)
    assert meter.unit_ms("gate", "look", HD) == pytest.approx(40.0, rel=0.03)


def test_what_cannot_be_is_refused() -> None:
    meter = CostMeter(TABLE, DETECTOR)
    for ms, calls in ((-1.0, 1), (float("nan"), 1), (1.0, 0)):
        with pytest.raises(ValueError, match="look of gate"):
            meter.add("gate", "look", ms, calls)
    with pytest.raises(ValueError, match="pictures"):
        Stream(width=0)


def test_a_measured_table_survives_the_disk_and_predicts_the_same(tmp_path: Path) -> None:
    meter = CostMeter(TABLE, DETECTOR)
    meter.seen("gate", HD)
    _tell(meter, "gate", 1.4)
    path = tmp_path / "costs.json"
    save_table(meter.measured(), path)
    kept = CostMeter(load_table(path), DETECTOR).cost("gate", HD)
    own = meter.cost("gate", HD)
    assert kept.look_ms == pytest.approx(own.look_ms)
    assert kept.decode_ms_per_s == pytest.approx(own.decode_ms_per_s, rel=0.02)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSON"),
        (json.dumps({"machine": "x"}), "demux_ms: Field required"),
        (json.dumps(TABLE.model_dump() | {"look_ms": {"m": -1}}), "look_ms.m: Input should be greater"),
        (json.dumps(TABLE.model_dump() | {"colour": 1}), "colour: Extra"),
    ],
)
def test_a_wrong_file_of_costs_is_told_by_name(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(CostError, match=says) as caught:
        load_table(path)
    assert str(path) in str(caught.value)


def test_a_file_of_costs_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(CostError, match="No such file"):
        load_table(tmp_path / "none.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CostError, match="text"):
        load_table(tmp_path / "binary")
