"""The sign before a camera's view says who, what for and how long, whatever the configuration holds."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands.sign import drawn
from edge.config import Config

CAMERA = {"id": "gate-2", "source": "sim://gate", "place": {"name": "北门 <script>"}}


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


@pytest.mark.parametrize(("enabled", "said"), [(True, "kept for 48 h"), (False, "No pictures are kept")])
def test_it_says_what_holds_there(enabled: bool, said: str) -> None:
    config = Config.model_validate({"cameras": [CAMERA], "evidence": {"enabled": enabled, "ttl_h": 48}})
    shown = texts(drawn(config, config.cameras[0], "街道办 & Co", "0791-1"))
    assert any(said in line for line in shown)
    assert "北门 <script>" in shown
    assert any("街道办 & Co" in line for line in shown)


def test_the_command_writes_it_and_names_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "sharpeyes.yaml"
    path.write_text("cameras: [{id: gate-2, source: 'sim://gate'}]")
    done = CliRunner().invoke(app, ["sign", str(path), "gate-2", "--contact", "0791-1"])
    assert done.exit_code == 0
    assert any("0791-1" in line for line in texts(done.stdout))
    wrong = CliRunner().invoke(app, ["sign", str(path), "gate-9"])
    assert wrong.exit_code == 2
    assert "there are gate-2" in wrong.output
