"""Fills a small disk with events of all levels in turn, and says as JSON what the outbox made of it."""

import json
import random
import sys
from pathlib import Path

import structlog

from edge.errors import OutboxError
from edge.outbox import Outbox
from tests.support.outbox_drafts import BY_LEVEL, PLENTY


def main(folder: Path, seed: int, rounds: int) -> None:
    """Append ten at a time, send all of them; none is ever receipted."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    rng = random.Random(seed)
    refused = most = 0
    with Outbox(folder / "outbox.db", PLENTY, until="receipted") as outbox:
        for _ in range(rounds):
            try:
                outbox.append([BY_LEVEL[rng.randint(1, 4)] for _ in range(10)])
            except OutboxError:
                refused += 1
                most = max(most, refused)
            else:
                refused = 0
                outbox.sent([row.sequence for row in outbox.fresh(512)])
        counts = outbox.counts()
        covered = sum(last - first + 1 for first, last in outbox._gaps.covering(1, counts.newest))
    evicted = counts.evicted
    report = {
        "refused": most,
        "evicted": sum(evicted.values()),
        "severe_first": bool(evicted[1]) and evicted[1] > evicted[4],
        "accounted": covered + counts.sent + counts.pending == counts.newest,
    }
    print(json.dumps(report))  # noqa: T201 - to the parent


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
