"""A real `sharpeyes run` with simulated cameras, killed again and again beside a real centre."""

import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from api.center.config import load_center
from api.center.keys import public_key
from api.center.opening import open_store
from edge.signing import Signer
from tests.support.center_service import DISTRICT, EVENTS, write_config
from tests.support.chaos_account import Stored, check_order
from tests.support.chaos_line import say
from tests.support.chaos_processes import HOST, LONG, SEED, SHARPEYES, Centre, Process, Valkey, until

NODE = "gate-8"
KILLS = 20 if LONG else 3
CAMERAS = 2
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 180)]


class WholeNode(Process):
    """`sharpeyes run` with cameras where somebody walks in all the time."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__("node", folder / "node.log")
        self._folder = folder
        self.data_dir = folder / "data"
        self._config = folder / "node.yaml"
        cameras = [
            {
                "id": f"plaza-{k}",
                "source": f"sim://plaza?seed={3 + k}&scenario=intrusion&size=320x180&fps=5",
                "place": {"name": "北门广场", "grid": f"{DISTRICT}001001{k:03d}"},
                "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
                "rules": [{"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 0, "release_s": 0}],
            }
            for k in range(CAMERAS)
        ]
        config: dict[str, Any] = {
            "node": {"id": NODE, "district": DISTRICT, "data_dir": str(self.data_dir)},
            "redis": {"url": url},
            "outbox": {"until": "receipted"},
            "http": {"port": 0},
            "cameras": cameras,
        }
        config["node"] |= {"heartbeat_s": 1, "coverage_s": 1}
        folder.mkdir()
        self._config.write_text(json.dumps(config), "utf-8")

    def command(self) -> list[str]:
        return [*SHARPEYES, "run", str(self._config)]

    def newest(self) -> int:
        """What the outbox of the dead says: the last number that it gave."""
        with closing(sqlite3.connect(self.data_dir / "outbox.db")) as outbox:
            return int(outbox.execute("SELECT newest FROM tally").fetchone()[0])


class Witness(threading.Thread):
    """Reads along what comes to Redis: the events' ids and kinds by number, as the node has made them."""

    def __init__(self, port: int) -> None:
        super().__init__(name="witness", daemon=True)
        self._port = port
        self.seen: dict[int, tuple[str, str]] = {}
        self.strange: list[int] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        last = "0"
        with redis.Redis(HOST, self._port) as client:
            while not self.stopping.is_set():
                for _, entries in client.xread({EVENTS: last}, block=200) or ():
                    for id_, fields in entries:
                        last = id_
                        self._see(json.loads(fields[b"ce"]))

    def _see(self, event: dict[str, Any]) -> None:
        number = int(event["sequence"])
        seen = (event["id"], event["type"])
        if self.seen.setdefault(number, seen) != seen:
            self.strange.append(number)


@contextmanager
def witnessed(port: int) -> Iterator[Witness]:
    witness = Witness(port)
    witness.start()
    try:
        yield witness
    finally:
        witness.stopping.set()
        witness.join()


def test_a_whole_node_killed(tmp_path: Path) -> None:
    rng = random.Random(f"{SEED} whole")
    valkey = Valkey(tmp_path / "valkey")
    node = WholeNode(tmp_path / "node", f"redis://{HOST}:{valkey.port}/0")
    (tmp_path / "centre").mkdir()
    config = write_config(tmp_path / "centre", f"redis://{HOST}:{valkey.port}/0")
    with open_store(load_center(config)) as store:
        store.admit(NODE, public_key(Signer.open(node.data_dir).public), "test")
    centre = Centre(config)
    with closing(node), closing(centre), closing(valkey):
        valkey.start()
        with witnessed(valkey.port) as witness:
            centre.start()
            newest = 0
            for n in range(KILLS):
                node.start()
                enough = newest + rng.randint(1, 12)
                until(lambda enough=enough: max(witness.seen, default=0) >= enough, "events")
                time.sleep(rng.uniform(0, 1))  # the random point
                node.kill()
                before, newest = newest, node.newest()
                say(f"node killed, {n + 1} of {KILLS}; {newest} events")
                assert newest >= max(before, *witness.seen), "the outbox has forgotten events"
            node.start()
            until(lambda: max(witness.seen) >= newest + 5, "events of the last run")
            assert node.end() == 0, node.tail()
            newest = node.newest()
            until(lambda: centre.through(NODE) == newest, "all of them")
            cases = centre.cases()
            assert centre.command_line("verify").returncode == 0
            assert centre.end() == 0
    stored = Stored.read(load_center(config), NODE)
    assert (stored.ledger.created, stored.ledger.missing, stored.ledger.repeated) == (newest, 0, 0)
    assert (stored.ledger.stored, stored.ledger.gaps, stored.lost) == (newest, 0, [])
    assert not witness.strange, "a number was given twice"
    assert witness.seen.keys() == set(range(1, newest + 1))
    kept = [id_ for id_, kind in witness.seen.values() if not kind.startswith("org.sharpeyes.node.heartbeat")]
    assert sorted(id_ for _, id_ in stored.inbox) == sorted(kept)
    assert {(e.sequence, e.id) for e in stored.events} <= {(n, id_) for n, (id_, _) in witness.seen.items()}
    check_order(cases, stored, NODE)
    say(f"created={newest} cases={len(cases)} events={len(stored.events)}")
