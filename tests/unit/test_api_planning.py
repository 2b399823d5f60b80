"""`sharpeyes plan`: what it sees of a stream, what it predicts, and how it says so."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from api.cli import app
from api.planning import Seen, costs_for, document, look_at, predict, table_of, with_budget, words
from edge.config import BudgetConfig, CameraConfig, Config
from edge.costs import KEPT, CostMeter, CostTable, Stream, load_table, save_table
from streams.errors import OpenError
from streams.packet import Packet, StreamInfo
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec

TABLE = CostTable(
    machine="a test's",
    demux_ms={"rtsp": 0.3, "file": 0.1},
    decode_ms_per_mp={"h264": 2.2},
    keyframe_ms_per_mp={"h264": 8.0},
    motion_ms=0.4,
    look_ms={"nanodet-g-416-int8": 20.0},
    node_ms_per_s=20.0,
)


class HandClock:
    """A clock that moves by a tenth of a second each time it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 0.1
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def wait(self, event: Any, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return bool(event.is_set())


class LiveSource:
    """A camera of 640x480 at 20 pictures a second, a keyframe every 30."""

    info = StreamInfo("hevc", 640, 480)

    def packets(self) -> Iterator[Packet]:
        for index in range(10**6):
            yield Packet(index / 20, 1000, index % 30 == 0, None)  # type: ignore[arg-type]

    def close(self) -> None: ...


def camera(source: object = "rtsp://viewer:topsecret@192.0.2.7/live", **more: object) -> dict[str, object]:
    return {
        "id": "gate",
        "source": source,
        "zones": [{"id": "stage", "polygon": [[0, 0], [1, 0], [1, 1]]}],
        "lines": [{"id": "door", "points": [[0, 0], [1, 1]]}],
        "rules": [{"kind": "hazard.intrusion", "zone": "stage"}, {"kind": "hazard.line", "line": "door"}],
    } | more


def config_of(*cameras: dict[str, object], **budget: object) -> Config:
    return Config.model_validate({"cameras": cameras, "budget": {"cores": 2} | budget})


def seen_of(config: Config) -> dict[str, Seen]:
    return {one.id: Seen(Stream(), "assumed") for one in config.cameras}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _look(
    source: str | dict[str, object], *, reach: bool = False, opener: Any = None, **budget: object
) -> Seen:
    config = CameraConfig.model_validate(camera(source))
    more = {"opener": opener} if opener else {}
    return look_at(config, BudgetConfig.model_validate(budget), HandClock(), reach=reach, **more)


def test_a_simulated_camera_declares_what_it_is() -> None:
    seen = _look("sim://plaza?size=640x360&fps=10")
    assert seen == Seen(Stream(640, 360, 10.0, 5.0, "h264", "sim"), "declared")


def test_a_file_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(SceneSpec("quiet", "plaza", 1, (320, 192), 10.0, 3.0), path, None, None)
    seen = _look(str(path))
    assert (seen.how, seen.trouble) == ("seen", "")
    assert (seen.stream.width, seen.stream.height, seen.stream.kind) == (320, 192, "file")
    assert seen.stream.fps == pytest.approx(10, rel=0.05)


def test_a_network_camera_is_assumed_unless_it_is_reached() -> None:
    def opener(*_: object, **__: object) -> LiveSource:
        return LiveSource()

    assumed = _look("rtsp://192.0.2.7/live", opener=opener, picture_size=[1280, 720], picture_fps=15)
    assert assumed == Seen(Stream(1280, 720, 15.0, 2.0, "h264", "rtsp"), "assumed")
    seen = _look("rtsp://192.0.2.7/live", opener=opener, reach=True)
    assert seen.how == "seen"
    assert (seen.stream.width, seen.stream.codec) == (640, "hevc")
    assert seen.stream.fps == pytest.approx(20)
    assert seen.stream.keyframe_s == pytest.approx(1.5, rel=0.3)


def test_of_two_streams_the_small_one_is_what_costs(tmp_path: Path) -> None:
    write_clip(SceneSpec("quiet", "plaza", 1, (320, 192), 10.0, 3.0), tmp_path / "sub.mp4", None, None)
    both: dict[str, object] = {"main": "rtsp://u:hush@192.0.2.7/101", "sub": "rtsp://u:hush@192.0.2.7/102"}
    opened = []

    def opener(url: object, *_: object, **__: object) -> LiveSource:
        opened.append(str(url))
        return LiveSource()

    unseen = _look(both)
    assert (unseen.how, unseen.stream.width, unseen.stream.height) == ("assumed", 640, 360)
    assert _look(both, sub_picture_size=[704, 576]).stream.width == 704
    assert _look(both, reach=True, opener=opener).how == "seen"
    assert opened == ["rtsp://***@192.0.2.7/102"]
    seen = _look({"main": "rtsp://192.0.2.7/101", "sub": str(tmp_path / "sub.mp4")})
    assert (seen.how, seen.stream.width) == ("seen", 320)


def test_a_small_stream_costs_less_and_is_named() -> None:
    both = camera(source={"main": "rtsp://192.0.2.7/101", "sub": "rtsp://192.0.2.7/102"}, id="two")
    config = config_of(camera(), both)
    clock = HandClock()
    seen = {one.id: look_at(one, config.budget, clock, reach=False) for one in config.cameras}
    prediction = predict(config, TABLE, seen)
    one, two = document(prediction)["cameras"]
    assert two["load_ms_per_s"] < 0.7 * one["load_ms_per_s"]
    assert (one["stream"]["source"], two["stream"]["source"]) == ("main", "sub")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table_of(prediction))
    shown = console.export_text()
    assert "sub 640x360 25 fps, assumed" in shown
    assert " 1920x1080 25 fps, assumed" in shown


def test_decoding_on_a_device_is_said_not_to_be_reckoned_with() -> None:
    config = config_of(camera())
    node = config.node.model_copy(update={"hardware_decode": "cuda"})
    prediction = predict(config.model_copy(update={"node": node}), TABLE, seen_of(config))
    assert list(words(prediction))[-1] == (
        "hardware_decode: cuda is not reckoned with, unless the costs were measured with it"
    )


def test_a_camera_that_cannot_be_reached_is_assumed_and_said_to_be() -> None:
    def opener(*_: object, **__: object) -> LiveSource:
        raise OpenError("no route to 192.0.2.7")

    seen = _look("rtsp://viewer:topsecret@192.0.2.7/live", reach=True, opener=opener)
    assert (seen.how, seen.trouble) == ("assumed", "no route to 192.0.2.7")


def test_what_fits_is_said_in_one_line() -> None:
    config = config_of(camera())
    told = list(words(predict(config, TABLE, seen_of(config))))
    assert len(told) == 1
    assert re.fullmatch(
        r"\d+ % of 2 cores with something moving 10 % of the time: every camera gets what it asks for",
        told[0],
    )


def test_what_does_not_fit_is_named_with_what_is_blind() -> None:
    cameras = [camera(id=f"c{k}", priority=9 if k == 0 else 5, gate="off") for k in range(40)]
    config = config_of(*cameras)
    prediction = predict(config, TABLE, seen_of(config))
    told = "\n".join(words(prediction))
    assert prediction.overloaded
    assert re.search(r"^\d{3} % of 2 cores asked for", told)
    assert "and " in told
    assert "fall to keyframes: blind for hazard.intrusion (needs 1 fps), hazard.line (needs 2 fps)" in told
    assert prediction.planned.services["c0"].fps >= 2
    assert not any(short.camera_id == "c0" for short in prediction.planned.below_floor)
    assert prediction.percent(prediction.planned.cpu_ms) <= 90


def test_a_rush_is_told_apart_from_the_usual() -> None:
    config = config_of(*(camera(id=f"c{k}") for k in range(20)))
    prediction = predict(config, TABLE, seen_of(config))
    assert not prediction.overloaded
    assert prediction.rush.below_floor
    told = list(words(prediction))
    assert told[1] == "while something moves before all cameras at once:"
    assert "fall" in told[2]


def test_rates_that_fall_without_blindness_are_told_too() -> None:
    config = config_of(*(camera(id=f"c{k}", analysed_fps=10) for k in range(6)))
    prediction = predict(config, TABLE, seen_of(config))
    assert not prediction.rush.below_floor
    assert "none is blind" in list(words(prediction))[-1]


def test_a_camera_configured_below_its_floor_is_named() -> None:
    config = config_of(camera(analysed_fps=0.8))
    told = list(words(predict(config, TABLE, seen_of(config))))
    assert "camera gate wants no more than 0.8 fps: blind for hazard.intrusion" in told[1]


def test_the_document_has_what_is_documented() -> None:
    config = config_of(*(camera(id=f"c{k}", gate="off") for k in range(30)))
    told = json.loads(json.dumps(document(predict(config, TABLE, seen_of(config)))))
    page = (Path(__file__).parents[2] / "docs" / "budget.md").read_text()
    for key in (*told, *told["cameras"][0], *told["cameras"][0]["stream"], *told["below_floor"][0]):
        assert f"`{key}`" in page
    assert sum(one["load_ms_per_s"] for one in told["cameras"]) + 20 == pytest.approx(
        told["load_ms_per_s"], rel=0.01
    )
    assert told["load_percent"] == pytest.approx(told["load_ms_per_s"] / 20, abs=0.1)
    assert next(one["what"] for one in told["given_up"]) == "some keyframes of quiet cameras"
    assert set(told["all_active"]["services"]) == {f"c{k}" for k in range(30)}


def test_costs_come_from_the_file_or_the_node_or_the_package(tmp_path: Path) -> None:
    config = config_of(camera())
    config = config.model_copy(update={"node": config.node.model_copy(update={"data_dir": tmp_path})})
    assert costs_for(config, None) == load_table()
    save_table(CostMeter(TABLE, "any").measured(), tmp_path / KEPT)
    assert costs_for(config, None).machine == "this node, as measured"
    save_table(TABLE, tmp_path / "own.json")
    assert costs_for(config, tmp_path / "own.json") == TABLE


def test_what_is_asked_for_on_the_command_line_wins() -> None:
    config = with_budget(config_of(camera()), cores=8.0, active_share=None)
    assert (config.budget.cores, config.budget.active_share) == (8.0, 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(json.dumps({"cameras": [camera(id=f"c{k}") for k in range(30)]}))
    return path


def test_the_command_tells_people_and_programs(path: Path, tmp_path: Path) -> None:
    save_table(TABLE, tmp_path / "costs.json")
    told = invoke("plan", path, "--cores", "1", "--active", "0.5", "--costs", tmp_path / "costs.json")
    assert told.exit_code == 0, told.output
    assert "keyframes" in told.stdout
    assert "of 1 core asked for" in told.stdout
    assert "costs from: a test's" in told.stdout
    assert "topsecret" not in told.output
    data = json.loads(invoke("plan", path, "--json").stdout)
    assert len(data["cameras"]) == 30
    assert data["words"]


def test_the_command_says_what_is_wrong(path: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    told = invoke("plan", path, "--costs", tmp_path / "bad.json")
    assert told.exit_code == 1
    assert "bad.json" in told.stderr
    missing = tmp_path / "config.yaml"
    missing.write_text(json.dumps({"cameras": [camera(source=str(tmp_path / "none.mp4"))]}))
    told = invoke("plan", missing)
    assert told.exit_code == 0
    assert "gate could not be seen" in told.stderr
