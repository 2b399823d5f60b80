"""Fills a small disk with events and more, and says as JSON what the outbox made of it. See the test."""

import json
import os
import sys
from pathlib import Path

from edge.errors import OutboxError
from edge.outbox import Outbox
from tests.support.outbox_drafts import BY_LEVEL, PLENTY


def fill(folder: Path) -> None:
    """Leave no byte on the disk."""
    handle = os.open(folder / "other", os.O_WRONLY | os.O_CREAT)
    for block in (2**16, 4096, 1):
        try:
            while True:
                os.write(handle, b"x" * block)
        except OSError:
            continue
    os.close(handle)


def main(folder: Path) -> None:
    """Append four times what the disk holds, then after others have filled it, then send."""
    outbox = Outbox(folder / "outbox.db", PLENTY, until="receipted")
    refused = 0
    severe: list[int] = []
    disk = os.statvfs(folder)
    rounds = 4 * disk.f_blocks * disk.f_frsize // (64 * 700)
    for n in range(rounds):
        if n == rounds // 2:
            fill(folder)
        try:
            events = outbox.append([BY_LEVEL[4]] * 63 + [BY_LEVEL[1]] * (n % 20 == 0))
        except OutboxError:
            refused += 1
            continue
        if n % 20 == 0:
            severe.append(int(events[-1].sequence))
        if n % 50 == 0:
            outbox.sent([row.sequence for row in outbox.fresh(10)])
    counts = outbox.counts()
    outbox.close()
    outbox = Outbox(folder / "outbox.db", PLENTY, until="receipted")
    again = outbox.counts()
    kept = {sequence for (sequence,) in outbox._file.execute("SELECT sequence FROM events")}
    covered = sum(last - first + 1 for first, last in outbox._gaps.covering(1, counts.newest))
    gone = outbox.receipted(counts.newest)
    report = {
        "rounds": rounds,
        "refused": refused,
        "evicted": counts.evicted[4],
        "severe_lost": len(set(severe) - kept),
        "adds_up": counts.created == counts.pending + counts.sent + sum(counts.evicted.values()),
        "same_after_reopening": counts.created == again.created and counts.pending == again.pending,
        "accounted": len(kept) + covered == counts.newest,
        "receipted": gone == len(kept),
    }
    print(json.dumps(report))  # noqa: T201 - to the parent


if __name__ == "__main__":
    main(Path(sys.argv[1]))
