"""What `check` says of a configuration that is right."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from api.demo import demo_config
from api.review import problems, review, table_of
from edge.config import Config
from edge.load import load_config


def config(**camera: object) -> Config:
    return Config.model_validate(
        {
            "node": {"district": "360103"},
            "redis": {"url": "redis://h"},
            "cameras": [{"id": "a", "source": "rtsps://u:secret@h/x", **camera}],
        }
    )


def printed(config: Config) -> str:
    shown = io.StringIO()
    Console(width=100, file=shown).print(table_of(config))
    return shown.getvalue()


ZONE = {"id": "z", "polygon": [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]}
RULE = {"kind": "hazard.intrusion", "zone": "z"}


def test_nothing_to_say_of_a_good_one() -> None:
    assert review(config(zones=[ZONE], rules=[RULE])) == []


def test_each_thing_worth_knowing_on_a_line() -> None:
    line = {"id": "l", "points": [[0, 0.5], [1, 0.5]]}
    assert review(config(zones=[ZONE], lines=[line])) == [
        "camera a: no rules, so it reports only when it is offline or was moved",
        "camera a: zone z is counted, but no rule watches it",
        "camera a: no rule watches line l",
    ]


def test_open_streams_and_open_doors_are_told_without_secrets() -> None:
    plain = config(source="rtsp://u:secret@h/x", zones=[ZONE], rules=[RULE])
    assert review(plain) == ["camera a: rtsp:// shows the password to the network; prefer rtsps://"]
    bare = config(source="rtsps://h/x", zones=[ZONE], rules=[RULE])
    assert review(bare) == ["camera a: no user and password; anybody on its network can watch it"]
    for host, told in (("0.0.0.0", 1), ("localhost", 0), ("::1", 0), ("node.example", 1)):  # noqa: S104
        opened = bare.model_copy(update={"http": bare.http.model_copy(update={"host": host})})
        assert len(review(opened)) == 1 + told


def test_both_streams_of_a_camera_are_looked_at() -> None:
    both = {"main": "rtsps://u:secret@h/1", "sub": "rtsps://u:secret@h/2"}
    assert review(config(source=both, zones=[ZONE], rules=[RULE])) == []
    assert "5 pictures/s of sub" in printed(config(source=both))
    twice = config(source=both | {"sub": both["main"]}, zones=[ZONE], rules=[RULE])
    assert review(twice) == [
        "camera a: main and sub are the same stream; leave sub out, or name the camera's smaller stream"
    ]
    open_sub = config(source=both | {"sub": "rtsp://u:secret@h/2"}, zones=[ZONE], rules=[RULE])
    assert review(open_sub) == [
        "camera a: rtsp:// shows the password to the network; prefer rtsps://",
    ]
    both_open = {"main": "rtsp://u:secret@h/1", "sub": "rtsp://u:secret@h/2"}
    assert len(review(config(source=both_open, zones=[ZONE], rules=[RULE]))) == 1


def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    good = config(zones=[ZONE], rules=[RULE])
    wanted = good.model_copy(update={"node": good.node.model_copy(update={"hardware_decode": "vulkan"})})
    monkeypatch.setattr("streams.hardware.hwdevices_available", lambda: ["qsv"])
    (told,) = review(wanted)
    assert told.startswith("node.hardware_decode vulkan: this build of FFmpeg knows no vulkan, only qsv;")


def test_the_table_holds_ground_error_areas_lines_and_rules(tmp_path: Path) -> None:
    text = printed(demo_config(2, 0, tmp_path))
    for part in (
        "plaza-intrusion",
        "5 pictures/s",
        "0.00 m",
        "18 m²",
        "gate-line, line",
        "hazard.line on",
    ):
        assert part in text


def test_four_points_cannot_tell_their_error(tmp_path: Path) -> None:
    demo = demo_config(1, 0, tmp_path)
    camera = demo.cameras[0].model_copy(update={"ground": demo.cameras[0].ground[:4]})
    four = demo.model_copy(update={"cameras": (camera,)})
    assert "unknown (4 points)" in printed(four)
    assert any("four surveyed points fit any plane" in line for line in review(four))


def test_roles_of_single_sign_on_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(
        "access:\n  users: true\n  oidc:\n"
        "    discovery_url: https://id.example/.well-known/openid-configuration\n"
        "    client_id: a\n    client_secret: b\n    callback_url: https://node.example/login/oidc/callback\n"
        "    roles:\n      duty: operator@gate-*\n      office: root\n"
        "cameras:\n  - {id: a, source: x.mp4}\n"
    )
    (problem,) = problems(path, load_config(path))
    assert (problem.line, problem.key) == (10, "access.oidc.roles.office")
    assert "no role 'root'" in problem.text
