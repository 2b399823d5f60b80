"""A whole node: somebody enters a zone, and some seconds later there is a clip of it that can be checked."""

import asyncio
import hashlib
import json
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from api.cli import app
from edge.config import Config
from edge.envelope import IncidentData
from edge.events import Event
from edge.runtime import Node

PATIENCE_S = 60.0


async def first_evidence(node: Node) -> list[Event]:
    """The events of the first incident, up to the one that tells of its evidence."""
    seen: list[Event] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in node.board.subscribe("0"):
            if isinstance(event.data, IncidentData):
                seen.append(event)
                if event.data.evidence is not None:
                    return [one for one in seen if one.data.incident == event.data.incident]  # type: ignore[union-attr]
    raise AssertionError


@pytest.mark.asyncio
async def test_an_incident_gets_a_clip_that_is_signed_and_whole(tmp_path: Path) -> None:
    settings = {
        "node": {"id": "n1", "data_dir": str(tmp_path / "data")},
        "evidence": {"before_s": 2, "after_s": 2},
        "cameras": [
            {
                "id": "gate",
                "source": "sim://gate?scenario=intrusion&seed=3&size=640x360",
                "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
                "rules": [{"kind": "hazard.intrusion", "zone": "all"}],
            }
        ],
    }
    async with Node.open(Config.model_validate(settings)) as node:
        begin, *_, last = await first_evidence(node)
        assert isinstance(begin.data, IncidentData)
        assert begin.data.phase == "begin"
        assert begin.data.evidence is None
        assert isinstance(last.data, IncidentData)
        evidence = last.data.evidence
        assert evidence is not None
        assert evidence.clip is not None
        clip = tmp_path / "data" / "evidence" / evidence.clip.split("/")[-2] / "clip.mp4"
        assert hashlib.sha256(clip.read_bytes()).hexdigest() == evidence.sha256
        assert b"sharpeyes_evidence_made_total 1.0" in node.metrics()[0]
    with av.open(str(clip)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    manifest = json.loads((clip.parent / "manifest.json").read_text())["manifest"]
    assert shown == manifest["pictures"]
    assert manifest["incident"] == last.data.incident
    config = tmp_path / "sharpeyes.yaml"
    config.write_text(json.dumps(settings))
    done = CliRunner().invoke(app, ["evidence", "verify", str(config)])
    assert done.exit_code == 0, done.output
    assert "as they were signed" in done.output
    assert "gate" in CliRunner().invoke(app, ["evidence", "list", str(config)]).output
    one = CliRunner().invoke(app, ["evidence", "verify", str(config), "--folder", str(clip.parent)])
    assert one.exit_code == 0
    clip.write_bytes(clip.read_bytes()[:-1] + b"x")
    wrong = CliRunner().invoke(app, ["evidence", "verify", str(config)])
    assert wrong.exit_code == 1
    assert "not what was signed" in wrong.output
