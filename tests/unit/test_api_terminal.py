"""What the commands print, and how they log."""

import io
import json
import logging
from collections import Counter

import pytest
import structlog
from rich.console import Console

from api import logs, terminal, watching
from api.errors import CommandError
from tests.support.api_node import STATUS, make_events


def test_an_incident_on_one_line() -> None:
    line = terminal.event_line(
        {
            "time": "2026-11-22T08:15:03.210Z",
            "type": "org.sharpeyes.crowd.density.v1",
            "source": "/nodes/xihu-07/cameras/gate-2",
            "subject": "plaza",
            "data": {
                "level": 2, "phase": "begin", "zone": "plaza",
                "measures": {"count": 41, "density_mean_per_m2": 2.1},
            },
        }
    )  # fmt: skip
    text = line.plain
    assert "\n" not in text
    for part in (
        "2 orange",
        "begin",
        "crowd.density",
        "xihu-07 / gate-2 / plaza",
        "count 41, density mean 2.1/m²",
    ):
        assert part in text


@pytest.mark.parametrize(
    "event",
    [{}, {"time": "soon", "data": {}}, {"data": {"level": 9, "measures": None}, "source": 5, "type": None}],
)
def test_a_foreign_event_is_shown_all_the_same(event: dict[str, object]) -> None:
    assert terminal.event_line(event).plain


def test_markup_in_an_event_is_text() -> None:
    shown = Console(file=io.StringIO(), width=200)
    shown.print(terminal.event_line({"source": "/nodes/[bold]x[/bold]", "data": {"zone": "[red]z"}}))
    assert "[bold]x[/bold] / [red]z" in shown.file.getvalue()  # type: ignore[attr-defined]


def test_a_heartbeat_has_no_level() -> None:
    line = terminal.event_line(json.loads(make_events(1)[0].to_json())).plain
    assert "node.heartbeat" in line
    assert "cameras up 2" in line


def test_the_summary_tells_drops_by_reason(capsys: pytest.CaptureFixture[str]) -> None:
    watching.show_summary(STATUS, Counter({"org.sharpeyes.hazard.line.v1": 4}))
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("gate-2"))
    assert row.split()[1:] == ["49", "4.9", "200", "1", "0", "0"]
    assert "hazard.line" in text
    watching.show_summary(STATUS, Counter())
    assert "none" in capsys.readouterr().out


def test_process_age_is_of_the_process() -> None:
    assert 0 < watching.process_age_s() < 3600


@pytest.fixture
def fresh_logging() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("fresh_logging")
def test_logs_are_json_lines_without_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    log = structlog.get_logger("x")
    log.info("opened", url="rtsp://admin:secret@10.0.0.7/live", tries=2)
    log.debug("hidden")
    try:
        int("rtsp://admin:secret@10.0.0.7")
    except ValueError:
        log.exception("failed")
    text = capsys.readouterr().err
    entries = [json.loads(line) for line in text.splitlines()]
    assert [entry["event"] for entry in entries] == ["opened", "failed"]
    assert entries[0]["url"] == "rtsp://10.0.0.7/live"
    assert entries[0]["tries"] == 2
    assert "secret" not in text


@pytest.mark.usefixtures("fresh_logging")
def test_the_log_level_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARPEYES_LOG", "DEBUG")
    logs.configure()
    structlog.get_logger("x").debug("shown")
    assert "shown" in capsys.readouterr().err
    monkeypatch.setenv("SHARPEYES_LOG", "loud")
    with pytest.raises(CommandError, match="debug, info, warning, error"):
        logs.configure()
