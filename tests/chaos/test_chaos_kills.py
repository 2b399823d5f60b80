"""Node and centre are killed at random points under load, without a farewell."""

import random
import time
from pathlib import Path

import pytest

from tests.support.chaos_line import Line, database_url, databases, say
from tests.support.chaos_processes import LONG, SEED

KILLS = 50 if LONG else 4
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if LONG else 180)]


@pytest.fixture(params=databases())
def database(request: pytest.FixtureRequest) -> str | None:
    return database_url(request.param)


def test_node_killed(tmp_path: Path, database: str | None) -> None:
    rng = random.Random(f"{SEED} node")
    with Line(tmp_path, database=database) as line:
        for n in range(KILLS):
            if rng.random() < 0.7:  # else perhaps before it has appended anything
                line.flows(rng.randint(1, 400))
            time.sleep(rng.uniform(0, 1))  # the random point
            line.node.kill()
            say(f"node killed, {n + 1} of {KILLS}")
            line.node.start()
        line.flows()
        line.settle()


def test_centre_killed(tmp_path: Path, database: str | None) -> None:
    """The whole of it at once, its main process alone, or a worker."""
    rng = random.Random(f"{SEED} centre")
    with Line(tmp_path, database=database) as line:
        for n in range(KILLS):
            if rng.random() < 0.7:  # else perhaps before it has read anything
                line.flows(rng.randint(1, 400))
            time.sleep(rng.uniform(0, 1))  # the random point
            victim = rng.choice(["all", "main", "worker"])
            if victim == "worker":
                line.centre.kill_a_worker(rng)
            else:
                line.centre.kill() if victim == "main" else line.centre.kill_all()
                line.centre.start()
            say(f"centre killed ({victim}), {n + 1} of {KILLS}")
        line.flows()
        line.settle()


def test_both_and_the_server_killed(tmp_path: Path, database: str | None) -> None:
    rng = random.Random(f"{SEED} both")
    rounds = KILLS // 2
    with Line(tmp_path, database=database) as line:
        for n in range(rounds):
            line.flows(rng.randint(1, 400))
            victims = rng.sample([line.node, line.centre, line.valkey], k=rng.randint(2, 3))
            for victim in victims:
                time.sleep(rng.uniform(0, 0.5))  # the random point
                victim.kill()
            rng.shuffle(victims)
            for victim in victims:
                victim.start()
            say(f"{', '.join(victim.name for victim in victims)} killed, {n + 1} of {rounds}")
        line.flows()
        line.settle()
