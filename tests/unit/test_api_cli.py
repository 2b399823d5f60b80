"""The command line: help, usage, exit codes, what each command makes of its arguments."""

import csv
import io
import json
import socket
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import edge.runtime
from api.cli import app
from api.clip import choose_camera
from api.errors import CommandError
from edge.events import Event
from tests.support.api_node import STATUS, FakeNode

COMMANDS = (
    ("demo",), ("run",), ("check",), ("analyse",), ("simulate",), ("health",), ("key",), ("events", "tail"),
    ("models", "list"), ("models", "show"), ("models", "add"), ("models", "bench"),
    ("users", "add"), ("users", "list"), ("users", "remove"), ("users", "password"), ("users", "token"),
    ("users", "setup"), ("audit", "verify"), ("audit", "export"), ("audit", "restart"),
)  # fmt: skip
CONFIG = """
node: {id: test, district: "360103"}
cameras:
  - id: gate
    source: rtsp://viewer:topsecret@192.0.2.7/live
    zones:
      - {id: all, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], capacity: 3}
    rules:
      - {kind: hazard.intrusion, zone: all, min_presence_s: 0.2}
"""


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHARPEYES_DEBUG", "SHARPEYES_LOG", "SHARPEYES_REDIS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.output
    assert f"sharpeyes {' '.join(command)}" in result.output


def test_version() -> None:
    assert invoke("--version").output.startswith("sharpeyes 0.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "No such command 'nonsense' (sharpeyes --help"),
        (["--nonsense"], "No such option: --nonsense"),
        (["run"], "Missing argument 'CONFIG' (sharpeyes run --help"),
        (["demo", "--cameras", "99"], "'--cameras'"),
        (["analyse", "x.mp4", "--camera", "a"], "--camera needs --config"),
        (["analyse", "x.mp4", "--events", "-", "--counts", "-"], "only one of --events and --counts"),
        (["analyse", "ftp://h/x.mp4"], "scheme 'ftp'"),
        (["simulate", "walk"], "--out FILE"),
        (["simulate", "walk", "--rtsp", "0", "--out", "x.mp4"], "--out FILE"),
        (["simulate", "walk", "--rtsp", "0", "--truth", "x.json"], "--truth goes with --out"),
        (["simulate", "riot", "--out", "x.mp4"], "there are abandoned, bottleneck, counterflow"),
        (["simulate", "walk", "--size", "huge", "--out", "x.mp4"], "1280x720"),
        (["events", "tail", "--redis", "redis://h", "--district", "1"], "six digits"),
        (["health", "--url", "ftp://h"], "--url must look like"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str], told: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


def test_no_command_shows_the_help() -> None:
    assert "Usage: sharpeyes" in invoke().output
    assert "bench" in invoke("models").output


def test_a_log_level_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARPEYES_LOG", "loud")
    assert invoke("models", "list").exit_code == 2


def test_check_says_what_a_configuration_means(config: Path) -> None:
    result = invoke("check", config)
    assert result.exit_code == 0
    for part in ("gate", "not surveyed", "all, holds 3", "hazard.intrusion on all"):
        assert part in result.stdout
    assert "rtsp:// shows the password to the network" in result.stderr
    assert "embedded server" in result.stderr
    assert "topsecret" not in result.output


def test_check_tells_every_error_with_line_and_key(config: Path) -> None:
    config.write_text(CONFIG.replace("capacity: 3", "capacitty: 3").replace("id: gate", "id: GATE"))
    result = invoke("check", config)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"error: {config}:4: cameras[0].id: ")
    assert "capacity" in lines[1]
    assert "topsecret" not in result.output


@pytest.mark.parametrize(
    ("name", "words"),
    [("nanodet-g-416-int8", "is a detector and counts no heads; heads-448-int8 does"), ("heads", "no model")],
)
def test_check_refuses_a_head_counter_that_is_none(config: Path, name: str, words: str) -> None:
    config.write_text(f"model: {{density: {name}}}\n" + config.read_text())
    result = invoke("check", config)
    assert result.exit_code != 0
    assert "model.density: " in result.stderr
    assert words in " ".join(result.stderr.split())


def test_check_asks_the_detector_for_the_classes_that_rules_name(config: Path) -> None:
    config.write_text(CONFIG.replace("zone: all, min", "zone: all, classes: [unicorn], min"))
    result = invoke("check", config)
    assert result.exit_code == 2
    assert f"{config}:9: cameras[0].rules[0].classes" in result.stderr
    config.write_text(CONFIG + "model: {detector: nanodet-h}\n")
    result = invoke("check", config)
    assert result.exit_code == 2
    assert f"{config}:10: model.detector: no model 'nanodet-h'" in result.stderr


def test_a_file_that_is_not_there() -> None:
    result = invoke("check", "/nowhere/node.yaml")
    assert result.exit_code == 2
    assert "/nowhere/node.yaml" in result.stderr


def test_debug_shows_where_from_anywhere_on_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARPEYES_DEBUG", "")
    result = invoke("check", "/nowhere/node.yaml", "--debug")
    assert type(result.exception).__name__ == "ConfigError"


def test_analyse_counts_and_events_repeat_to_the_byte(config: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    made = invoke(
        "simulate", "walk", "--seed", "4", "--seconds", "4", "--size", "640x360", "--fps", "10",
        "--out", clip, "--truth", tmp_path / "truth.json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert json.loads((tmp_path / "truth.json").read_text())["scenario"] == "walk"
    written = []
    for run in ("a", "b"):
        counts, events = tmp_path / f"{run}.csv", tmp_path / f"{run}.jsonl"
        result = invoke("analyse", clip, "--config", config, "--counts", counts, "--events", events)
        assert result.exit_code == 0, result.output
        assert "hazard.intrusion: 2 events" in result.stderr
        written.append((counts.read_bytes(), events.read_bytes()))
    assert written[0] == written[1]
    rows = list(csv.DictReader(io.StringIO(written[0][0].decode())))
    assert list(rows[0]) == ["pts_s", "zone", "count", "density_per_m2"]
    assert {row["zone"] for row in rows} == {"all"}
    assert max(int(row["count"]) for row in rows) >= 3
    assert [Event.from_json(line).data.phase for line in written[0][1].splitlines()] == ["begin", "end"]


def test_analyse_needs_no_configuration(tmp_path: Path) -> None:
    result = invoke("analyse", "sim://gate?seconds=1&size=320x180&fps=5&people=0", "--counts", "-")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == ["pts_s,zone,count,density_per_m2", "0.000,picture,0,"]


def test_analyse_without_its_clip(tmp_path: Path) -> None:
    result = invoke("analyse", tmp_path / "none.mp4")
    assert result.exit_code == 1
    assert "none.mp4" in result.stderr


def test_which_camera_to_analyse_as(config: Path) -> None:
    assert choose_camera(config, None)[0].id == "gate"
    config.write_text(CONFIG + "  - {id: yard, source: sim://plaza}\n")
    assert choose_camera(config, "yard")[0].id == "yard"
    with pytest.raises(CommandError, match="one of gate, yard"):
        choose_camera(config, None)
    with pytest.raises(CommandError, match="there are gate, yard"):
        choose_camera(config, "lawn")


def test_a_broken_off_clip_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    result = invoke(
        "simulate", "walk", "--seconds", "0.2", "--out", out, "--truth", tmp_path / "no" / "t.json"
    )
    assert result.exit_code == 1
    assert not out.exists()


def test_models_are_listed_shown_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHARPEYES_MODELS", str(tmp_path))
    name = "nanodet-g-416-int8"
    assert name in invoke("models", "list").stdout
    shown = invoke("models", "show", name).stdout
    assert "Apache-2.0" in shown
    assert "person" in shown
    timed = invoke("models", "bench", name, "--rounds", "1")
    assert name in timed.stdout
    result = invoke("models", "show", "nanodet-h")
    assert (result.exit_code, "no model 'nanodet-h'" in result.stderr) == (1, True)


def test_a_model_is_added_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from models.zoo import BUILT_IN

    monkeypatch.setenv("SHARPEYES_MODELS", str(tmp_path / "models"))
    for suffix in (".onnx", ".toml"):
        (tmp_path / f"mine{suffix}").write_bytes((BUILT_IN / f"nanodet-g-416-int8{suffix}").read_bytes())
    classes = (BUILT_IN / "coco-80.txt").read_text().splitlines()
    manifest = tmp_path / "mine.toml"
    manifest.write_text(
        manifest.read_text()
        .replace('name = "nanodet-g-416-int8"', 'name = "mine"')
        .replace("nanodet-g-416-int8.onnx", "mine.onnx")
        .replace('"coco-80.txt"', json.dumps(classes))
    )
    added = invoke("models", "add", manifest)
    assert added.exit_code == 0, added.output
    assert "mine" in invoke("models", "list").stdout
    assert invoke("models", "add", manifest).exit_code == 1


def test_run_and_demo_end_with_a_summary(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(edge.runtime, "Node", FakeNode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    ran = invoke("run", config, "--for", "0.3", "--port", "0", "--host", "127.0.0.1")
    assert ran.exit_code == 0, ran.output
    logged = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [entry["url"][:17] for entry in logged if entry["event"] == "status page"] == ["http://127.0.0.1:"]
    shown = invoke("demo", "--for", "0.3", "--port", "0", "--cameras", "1")
    assert shown.exit_code == 0, shown.output
    for part in ("watches places, not people", STATUS.detector, "gate-3 (retrying)", "Events"):
        assert part in shown.stdout


def test_a_taken_port_is_a_failure(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = invoke("run", config, "--port", str(other.getsockname()[1]))
    assert result.exit_code == 1
    assert "is taken" in result.stderr


def test_health_of_a_node_that_is_not_there() -> None:
    result = invoke("health", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "no node answers at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_health_says_what_the_node_says(status: int, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection = server.accept()[0]
            with connection:
                assert b"GET /readyz" in connection.recv(4096)
                connection.sendall(b"HTTP/1.0 %d x\r\n\r\n{[bold]}" % status)

        thread = threading.Thread(target=answer)
        thread.start()
        result = invoke("health", "--ready", "--url", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(10)
    assert result.exit_code == code
    assert result.stdout == "{[bold]}\n"
