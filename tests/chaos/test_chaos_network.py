"""The network between node, Redis and centre is slow, or gone; a proxy of the test's own stands for it."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.chaos_line import Line, database_url, databases, say
from tests.support.chaos_processes import HOST, LONG, SEED, Valkey, until
from tests.support.chaos_proxy import Proxy

ROUNDS = 10 if LONG else 1
STORED = 'events_total{outcome="stored"}'
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 180)]


@pytest.fixture(params=databases())
def database(request: pytest.FixtureRequest) -> str | None:
    return database_url(request.param)


@contextmanager
def proxied(folder: Path, database: str | None) -> Iterator[tuple[Line, Proxy, Proxy]]:
    """A line with a network of its own for the node and one for the centre."""
    valkey = Valkey(folder / "valkey")
    rng = random.Random(SEED)
    with Proxy(valkey.port, rng) as of_node, Proxy(valkey.port, rng) as of_centre:
        urls = (f"redis://{HOST}:{of_node.port}/0", f"redis://{HOST}:{of_centre.port}/0")
        with Line(folder, database=database, url=urls, valkey=valkey) as line:
            line.flows()
            yield line, of_node, of_centre


def test_slow(tmp_path: Path, database: str | None) -> None:
    """Each answer late, then so narrow that events come faster than they go."""
    with proxied(tmp_path, database) as (line, of_node, of_centre):
        for _ in range(ROUNDS):
            for network in (of_node, of_centre):
                network.slow(delay_s=0.2)
            line.flows()
            of_node.slow(bytes_per_s=60_000)
            until(lambda: line.node.says("pending") >= 300, "events to wait in the outbox")
            for network in (of_node, of_centre):
                network.slow(delay_s=0.05, bytes_per_s=60_000)
            # the most severe go first: numbers have holes as long as it is too narrow for all
            taken = line.centre.figure(STORED)
            until(lambda before=taken: line.centre.figure(STORED) >= before + 100, "events to come through")
            for network in (of_node, of_centre):
                network.heal()
            line.flows()
        line.settle()


@pytest.mark.parametrize("way", ["dropped", "swallowed"])
def test_cut(tmp_path: Path, database: str | None, way: str) -> None:
    """Refused, or swallowed without a word, so that ends stay half open; on either side, then on both."""
    with proxied(tmp_path, database) as (line, of_node, of_centre):
        sides: list[tuple[Proxy, ...]] = [(of_node, of_centre), (of_centre,), (of_node,)]
        for n, networks in enumerate(sides[: None if LONG else 2] * ROUNDS):
            line.flows(100)
            failures = line.node.says("failures")
            for network in networks:
                (network.cut if way == "dropped" else network.swallow)()
            say(f"network {way}, {n + 1}")
            if of_node in networks:
                until(lambda before=failures: line.node.says("failures") > before, "the node's trouble")
            if of_centre in networks:
                until(lambda: not line.centre.ready(), "the centre's trouble")
            for network in networks:
                network.heal()
        line.flows()
        line.settle()


def test_cut_in_the_midst_of_answers(tmp_path: Path, database: str | None) -> None:
    """What was stored although nobody heard so comes twice, and has its effect once."""
    with proxied(tmp_path, database) as (line, of_node, of_centre):
        cuts = 200 if LONG else 20
        for network in (of_node, of_centre):
            network.snip(0.1)

        def enough() -> bool:
            twice = line.centre.figure('events_total{outcome="duplicate"}')
            return of_node.cuts >= cuts and of_centre.cuts >= cuts and twice > 0

        begun_s = time.monotonic()
        until(enough, "cut answers")
        say(f"{of_node.cuts} and {of_centre.cuts} answers cut in {time.monotonic() - begun_s:.0f} s")
        for network in (of_node, of_centre):
            network.heal()
        line.flows()
        line.settle()
