"""The disk of the node's outbox is full, or that of the centre's database."""

from pathlib import Path

import pytest

from tests.support.chaos_disk import SmallDisk
from tests.support.chaos_line import Line, say
from tests.support.chaos_processes import LONG, until

ROUNDS = 5 if LONG else 1
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 180)]


def test_the_nodes_disk(tmp_path: Path) -> None:
    """Redis is away until the disk is full, then somebody else fills the rest; what is lost is reported."""
    with SmallDisk(tmp_path / "disk", 12) as disk, Line(tmp_path, node_disk=disk, rate=1000.0) as line:
        for n in range(ROUNDS):
            line.flows()
            evicted = line.node.says("evicted")
            line.valkey.kill()
            until(lambda many=evicted: line.node.says("evicted") >= many + 500, "events to be given up")
            disk.fill()
            evicted = line.node.says("evicted")
            until(lambda many=evicted: line.node.says("evicted") > many, "more of them")
            say(f"{line.node.says('evicted')} events given up, {n + 1} of {ROUNDS}")
            line.valkey.start()
            if n % 2:
                line.node.kill()
                disk.free()
                line.node.start()
            else:
                disk.free()
        line.flows()
        assert line.settle()["gaps"] >= 500


def test_the_centres_disk(tmp_path: Path) -> None:
    """The database cannot grow: nothing is acknowledged, and all comes when there is room."""
    with SmallDisk(tmp_path / "disk", 64) as disk, Line(tmp_path, centre_disk=disk) as line:
        for n in range(ROUNDS):
            line.flows()
            disk.fill()
            until(lambda: not line.centre.ready(), "the centre's trouble")
            stuck = line.centre.through()
            newest = line.node.says("published")
            until(lambda many=newest: line.node.says("published") >= many + 300, "events to wait")
            say(f"the disk is full, {n + 1} of {ROUNDS}; {stuck} events stored")
            disk.free()
            line.flows()
        line.settle()
