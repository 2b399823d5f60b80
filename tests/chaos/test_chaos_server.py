"""The Redis server between node and centre dies, freezes, or is full; real processes, real Valkey."""

import random
import time
from pathlib import Path

import pytest

from tests.support.chaos_line import Line, database_url, databases, say
from tests.support.chaos_processes import LONG, SEED, until

ROUNDS = 5 if LONG else 1
FROZEN_S = 30.0 if LONG else 0.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 180)]


@pytest.fixture(params=databases())
def database(request: pytest.FixtureRequest) -> str | None:
    return database_url(request.param)


def test_killed_and_back_empty(tmp_path: Path, database: str | None) -> None:
    rng = random.Random(SEED)
    with Line(tmp_path, database=database) as line:
        for n in range(2 * ROUNDS):
            line.flows()
            line.gather_unread(100)
            time.sleep(rng.uniform(0, 0.5))  # the random point
            line.valkey.kill()
            line.centre.thaw()
            say(f"server killed, {n + 1} of {2 * ROUNDS}")
            # the second time it is back before anybody has to give up an exchange
            if n % 2 == 0:
                until(lambda: not line.node.status().get("connected", True), "the node's trouble")
                until(lambda: not line.centre.ready(), "the centre's trouble")
            line.valkey.start()
            lost = 100 * (n + 1)
            until(lambda lost=lost: line.node.says("replayed") >= lost, "what was lost to be sent again")
        line.flows()
        line.settle()


def test_frozen(tmp_path: Path, database: str | None) -> None:
    with Line(tmp_path, database=database) as line:
        for _ in range(ROUNDS):
            line.flows()
            failures = line.node.says("failures")
            begun_s = time.monotonic()
            line.valkey.freeze()
            until(lambda before=failures: line.node.says("failures") > before, "the node's trouble")
            until(lambda: not line.centre.ready(), "the centre's trouble")
            time.sleep(max(0.0, FROZEN_S - (time.monotonic() - begun_s)))  # what the scenario is about
            line.valkey.thaw()
            say(f"server was frozen {time.monotonic() - begun_s:.0f} s")
        line.flows()
        line.settle()


@pytest.mark.parametrize("full_of", ["others' data", "events"])
def test_out_of_memory(tmp_path: Path, database: str | None, full_of: str) -> None:
    """Others fill it, and nothing that the centre trims helps; or events do, while the centre is away."""
    with Line(tmp_path, database=database) as line:
        admin = line.valkey.admin
        for _ in range(ROUNDS):
            line.flows()
            used = int(admin.info("memory")["used_memory"])
            if full_of == "events":
                line.centre.freeze()
            else:
                admin.set("others", b"x" * 2**24)
            admin.config_set("maxmemory-policy", "noeviction")
            # with others' data in it, it is full whatever is trimmed
            admin.config_set("maxmemory", used + 2**19)
            until(lambda: "memory" in (line.node.says("trouble") or ""), "the node's trouble")
            until(lambda: line.node.says("pending") >= 300, "events to wait in the outbox")
            if full_of == "events":
                line.centre.thaw()
            else:
                admin.delete("others")
            # the limit stays: what the centre has stored makes the room
            line.flows(600)
            admin.config_set("maxmemory", 0)
        line.settle()
