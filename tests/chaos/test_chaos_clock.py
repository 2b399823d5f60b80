"""The node's clock is set back an hour, and forth again."""

from pathlib import Path

import pytest

from tests.support.chaos_line import Line, database_url, databases, say
from tests.support.chaos_processes import LONG

ROUNDS = 5 if LONG else 1
HOUR_S = 3600
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 180)]


@pytest.fixture(params=databases())
def database(request: pytest.FixtureRequest) -> str | None:
    return database_url(request.param)


def test_set_back_an_hour(tmp_path: Path, database: str | None) -> None:
    """While it runs, then with a kill and events lost on the way; order is by number, so it stays."""
    with Line(tmp_path, database=database) as line:
        for _ in range(ROUNDS):
            for off_s in (-HOUR_S - 60, -2 * HOUR_S - 60, 0, HOUR_S + 60):
                line.flows(200)
                line.node.clock.write_text(str(off_s))
                say(f"the node's clock is off by {off_s} s")
            line.flows(200)
            line.gather_unread(100)
            line.node.kill()
            line.node.clock.write_text(str(-HOUR_S))
            line.valkey.kill()
            line.centre.thaw()
            line.valkey.start()
            line.node.start()
            line.flows(200)
            line.node.clock.write_text("0")
        line.flows()
        skewed = [
            event["clock_skew_s"]
            for case in line.centre.cases()
            for event in case["events"]
            if event["clock_skew_s"] is not None
        ]
        assert min(skewed) < -2 * HOUR_S
        assert max(skewed) > HOUR_S
        line.settle()
