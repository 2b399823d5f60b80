"""A camera's two streams through a whole node: which is analysed, which is for evidence, and what decodes."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from av.codec.hwaccel import hwdevices_available

from edge.load import load_config
from edge.opening import address, evidence_address, source_options
from edge.runtime import Node
from streams.hardware import trouble
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec
from streams.source import open_source

PATIENCE_S = 60
LARGE, SMALL = (640, 384), (320, 192)
RULES = """
    zones: [{id: all, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}]
    rules: [{kind: hazard.intrusion, zone: all, min_presence_s: 0.2}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("camera")
    for name, size in (("main", LARGE), ("sub", SMALL)):
        write_clip(SceneSpec("walk", "plaza", 3, size, 10.0, 8.0), made / f"{name}.mp4", None, None)
    return made


async def until(condition, what: str) -> None:
    """Wait for `what`, a condition that other threads bring about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - threads bring it about, no task could set an event
            await asyncio.sleep(0.02)


async def test_the_small_stream_is_analysed_and_the_large_one_is_for_evidence(folder):
    path = folder / "node.yaml"
    path.write_text(f"""\
node: {{id: two, data_dir: data}}
cameras:
  - id: plaza
    source: {{main: main.mp4, sub: sub.mp4}}
{RULES}""")
    config = load_config(path)
    (camera,) = config.cameras
    async with Node.open(config) as node:
        await until(lambda: node.status().cameras[0].frames["delivered"] > 3, "pictures analysed")
        status = node.status().cameras[0]
    assert (status.width, status.height) == SMALL
    assert status.source == str(folder / "sub.mp4")
    sizes = []
    for url in (address(camera), evidence_address(camera)):
        with closing(open_source(url, source_options(camera, realtime=False))) as source:
            sizes.append((source.info.width, source.info.height))
    assert sizes == [SMALL, LARGE]


async def test_a_large_stream_that_is_away_takes_nothing_from_analysis_and_tells_no_secret(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("GATE", "hunter2")
    path = tmp_path / "node.yaml"
    path.write_text(f"""\
cameras:
  - id: plaza
    source:
      main: rtsp://viewer:${{env:GATE}}@127.0.0.1:9/101
      sub: {folder / "sub.mp4"}
{RULES}""")
    async with Node.open(load_config(path)) as node:
        await until(lambda: node.status().cameras[0].frames["delivered"] > 3, "pictures analysed")
        status = node.status().cameras[0]
        assert (status.state, status.width, status.decoder) == ("up", SMALL[0], "software")
        assert "hunter2" not in str(node.status()) + node.metrics()[0].decode() + repr(node.config)


async def test_a_node_whose_device_is_missing_decodes_in_software_and_says_so(folder, tmp_path):
    missing = [device for device in ("vulkan", "cuda", "vaapi", "qsv") if trouble("h264", device)]
    if not missing:
        pytest.skip(f"every device is there: {hwdevices_available()}")
    path = tmp_path / "node.yaml"
    path.write_text(f"""\
node: {{hardware_decode: {missing[-1]}}}
cameras:
  - id: plaza
    source: {folder / "sub.mp4"}
{RULES}""")
    async with Node.open(load_config(path)) as node:
        await until(lambda: node.status().cameras[0].frames["delivered"] > 3, "pictures analysed")
        assert node.status().cameras[0].decoder == "software"
