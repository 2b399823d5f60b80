"""The outbox's file: on disk in time; kills, full disks, damage and old layouts; errors name a cure."""

import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import structlog.testing

from edge.errors import OutboxError
from edge.outbox import Outbox
from edge.outbox_numbers import BLOCK, Numbers
from tests.support.outbox_drafts import BY_LEVEL, PLENTY, START, draft, gap

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node" / "outbox.db"


def kept(outbox: Outbox) -> list[int]:
    return [sequence for (sequence,) in outbox._file.execute("SELECT sequence FROM events ORDER BY sequence")]


def accounted(outbox: Outbox) -> list[int]:
    """Numbers that are kept or known as gaps."""
    gaps = outbox._gaps.covering(1, max(1, outbox.counts().newest))
    return sorted([*kept(outbox), *(n for first, last in gaps for n in range(first, last + 1))])


def scribble(path: Path, start: int = 0, size: int = 4096) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * size)


# On disk in time


def commits(path: Path, act: Callable[[Outbox], object]) -> tuple[bool, bool]:
    """Whether an act wrote a commit, and whether commits were synced to the disk at its end."""
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft(4)])
        log = path.with_name(path.name + "-wal")
        before = log.read_bytes()
        act(outbox)
        return log.read_bytes() != before, outbox._file.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_severe_events_are_synced_at_once_and_others_before_they_are_shown(path: Path) -> None:
    assert commits(path, lambda outbox: outbox.append([draft(1)])) == (True, True)
    assert commits(path, lambda outbox: outbox.append([draft(4), draft(2)])) == (True, True)
    assert commits(path, lambda outbox: outbox.append([draft(3), draft(None)])) == (True, False)
    # showing is what syncs them, by a commit that changes something: others SQLite would skip
    assert commits(path, lambda outbox: outbox.fresh()) == (True, True)
    assert commits(path, lambda outbox: outbox.fresh() and outbox.append([draft(1)])) == (True, True)


def test_what_was_synced_is_not_synced_again(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft(1)])
        log = path.with_name(path.name + "-wal")
        before = log.read_bytes()
        assert len(outbox.fresh()) == len(outbox.fresh()) == 1
        assert log.read_bytes() == before


def test_numbers_are_set_aside_before_they_are_given(path: Path) -> None:
    side, numbers = path.with_suffix(".seq"), Numbers(path.with_suffix(".seq"))
    with Outbox(path, PLENTY) as outbox:
        assert numbers.read() == 0
        outbox.append([draft()])
        assert numbers.read() == BLOCK
        for _ in range(4):
            outbox.append([BY_LEVEL[4]] * 2600)
        assert numbers.read() == 2 * BLOCK
    side.unlink()
    with Outbox(path, PLENTY):
        assert numbers.read() == 2 * BLOCK
    side.write_text("spoilt")
    with Outbox(path, PLENTY):
        assert numbers.read() == 2 * BLOCK


def test_a_torn_write_of_the_side_file_leaves_the_other_number(tmp_path: Path) -> None:
    side = tmp_path / "outbox.seq"
    numbers = Numbers(side)
    numbers.resume(0)
    for last in (1, BLOCK + 1, 2 * BLOCK + 1):
        numbers.reserve(last)
        whole = side.read_bytes()
        assert len(whole) == 42
        before = numbers.reserved - BLOCK
        for start in (0, 21):
            torn = whole[: start + 5] + b"\0" * 7 + whole[start + 12 :]
            side.write_bytes(torn)
            assert Numbers(side).read() in {before, numbers.reserved}
        side.write_bytes(whole)
    assert Numbers(side).read() == 3 * BLOCK
    side.write_bytes(b"9" * 20 + b"\n" + b"0" * 20 + b"\n")
    assert Numbers(side).read() is None


# Killed at any instruction


def killed_after(path: Path, lines: int, max_bytes: int, seed: int) -> tuple[list[int], list[int]]:
    """Numbers that a child gave, and those of levels 1 and 2, until it was killed at work."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.outbox_drafts", str(path), str(max_bytes), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    given: list[int] = []
    severe: list[int] = []
    with child:
        assert child.stdout
        for n, line in enumerate(child.stdout, 1):
            if line.endswith("\n"):
                level, *rest = map(int, line.split())
                given += rest
                severe += rest if level in (1, 2) else []
            if n == lines:
                child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    return given, severe


@pytest.mark.parametrize("max_bytes", [PLENTY, 30_000])
def test_kills_lose_nothing_and_give_no_number_twice(path: Path, max_bytes: int) -> None:
    rng = Random(max_bytes)
    given: list[int] = []
    for generation in range(5):
        numbers, severe = killed_after(path, rng.choice([1, 3, 40, 300]), max_bytes, generation)
        assert not set(numbers) & set(given)
        assert min(numbers) > max(given, default=0)
        given += numbers
        with Outbox(path, max_bytes, until="receipted") as outbox:
            counts = outbox.counts()
            assert counts.newest >= max(given)
            assert counts.created == counts.newest
            assert accounted(outbox) == list(range(1, counts.newest + 1))
            if max_bytes == PLENTY:
                assert set(severe) <= set(given) <= set(kept(outbox))
            assert counts.created == counts.pending + counts.sent + sum(counts.evicted.values())
            given += [int(event.sequence) for event in outbox.append([draft(1)])]
            assert given[-1] == counts.newest + 1


class Killed(BaseException):
    """Stands for the end of the process; nothing in the product catches it."""


def run_until(monkeypatch: pytest.MonkeyPatch, call: int, act: Callable[[], object]) -> bool:
    """Do something until its `call`-th word with the file system, and end there; False if it got through."""
    calls = 0

    def killing(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def method(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                raise Killed
            return real(*args, **kwargs)

        return method

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "fsync", "open", "unlink", "link", "posix_fallocate"):
            patch.setattr(os, name, killing(name))
        try:
            act()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("side_file", [True, False])
def test_a_kill_while_a_damaged_file_is_replaced_gives_no_number_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side_file: bool
) -> None:
    sound = tmp_path / "sound" / "outbox.db"
    with Outbox(sound, PLENTY) as outbox:
        outbox.append([draft()] * 60)
    scribble(sound, 3 * 4096)
    if not side_file:
        sound.with_suffix(".seq").unlink()
    for call in range(1, 60):
        path = tmp_path / str(call) / "outbox.db"
        shutil.copytree(sound.parent, path.parent)

        def act(path: Path = path) -> None:
            with Outbox(path, PLENTY) as outbox:
                outbox.append([draft()])

        ended = run_until(monkeypatch, call, act)
        with Outbox(path, PLENTY) as outbox:
            before = outbox.counts().newest
            assert before >= BLOCK
            assert int(outbox.append([draft()])[0].sequence) == before + 1
            assert accounted(outbox) == list(range(1, before + 2))
        if not ended:
            return
    pytest.fail("it never got through")


# Damage


def aside(path: Path) -> list[str]:
    return sorted(child.name for child in path.parent.iterdir() if "damaged" in child.name)


@pytest.mark.parametrize("start", [0, 100, 4096, 3 * 4096])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begins_above(path: Path, start: int) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft() for _ in range(50)])
    scribble(path, start)
    damaged = path.read_bytes()
    with structlog.testing.capture_logs() as logs, Outbox(path, PLENTY, until="receipted") as outbox:
        assert "damaged" in logs[0]["event"]
        counts = outbox.counts()
        assert (counts.created, counts.pending, counts.newest) == (0, 0, BLOCK)
        assert int(outbox.append([draft()])[0].sequence) == BLOCK + 1
        (event,) = outbox.report_gaps(gap)
        assert event.data.model_dump(exclude_none=True)["gap"] == {"ranges": ((1, BLOCK),), "events": BLOCK}
        assert event.data.model_dump()["reason"] == "outbox_replaced"
        assert Numbers(path.with_suffix(".seq")).read() == 2 * BLOCK
        # a receipt for what the old one gave: only the rest is to be told, and nothing new is deleted
        assert outbox.receipted(50) == 0
    (name,) = aside(path)
    assert name.startswith("outbox.db.damaged-2")
    assert path.with_name(name).read_bytes() == damaged


def test_no_database_at_all_is_moved_aside(path: Path) -> None:
    Outbox(path, PLENTY).close()
    path.write_bytes(b"these are not the events you are looking for" * 100)
    path.with_suffix(".seq").unlink()
    with pytest.raises(OutboxError, match=r"outbox\.seq does not tell .* write into it the highest number"):
        Outbox(path, PLENTY)
    assert aside(path) == []
    path.with_suffix(".seq").write_text("4711\n")
    with Outbox(path, PLENTY) as outbox:
        assert int(outbox.append([draft()])[0].sequence) == 4712
    assert len(aside(path)) == 1


def test_a_file_without_its_books_is_damaged(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft()])
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM tally")
    db.close()
    with Outbox(path, PLENTY) as outbox:
        assert outbox.counts().newest == BLOCK


def test_what_a_damaged_file_without_side_file_tells_is_enough(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft()] * 50)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM tally")
    db.close()
    path.with_suffix(".seq").unlink()
    with Outbox(path, PLENTY) as outbox:
        assert outbox.counts().newest == 2 * BLOCK


def test_a_lost_file_begins_anew_above_all_that_was_given(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft()])
    path.unlink()
    with Outbox(path, PLENTY) as outbox:
        assert int(outbox.append([draft()])[0].sequence) == BLOCK + 1
        assert accounted(outbox) == list(range(1, BLOCK + 2))
    path.unlink()
    path.with_suffix(".seq").write_text("?")
    with pytest.raises(OutboxError, match="write into it the highest number"):
        Outbox(path, PLENTY)


def test_damage_that_shows_later_is_mended_while_the_node_runs(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft(1)] * 300)
    with Outbox(path, PLENTY, until="receipted") as outbox:
        # behind the node's back, where it looks next
        damage = sqlite3.SQLITE_CORRUPT
        real = outbox._file.execute
        hit = []

        def damaged(sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
            if not hit:
                hit.append(sql)
                exc = sqlite3.DatabaseError("database disk image is malformed")
                exc.sqlite_errorcode = damage
                raise exc
            return real(sql, parameters)

        outbox._file.execute = damaged  # type: ignore[method-assign, assignment]
        assert outbox.fresh() == []
        assert int(outbox.append([draft(1)])[0].sequence) == BLOCK + 1
        assert outbox.counts().created == 1
        hit.clear()
        assert outbox.sent([BLOCK + 1]) == 0
        assert int(outbox.append([draft(1)])[0].sequence) == 2 * BLOCK + 1
        assert accounted(outbox) == list(range(1, 2 * BLOCK + 2))
    assert len([name for name in aside(path) if "-wal" not in name]) == 2


def test_a_large_file_is_checked_as_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft(1)] * 300)
    scribble(path, path.stat().st_size - 8 * 4096, 8 * 4096)
    monkeypatch.setattr("edge.outbox_file._CHECK_BYTES", 0)
    with Outbox(path, PLENTY) as outbox:
        outbox.fresh(1000)
        outbox.sent(range(1, 301))
        assert int(outbox.append([draft(1)])[0].sequence) == BLOCK + 1
    assert aside(path)


# A full disk


class Left:
    """A disk of which a test says how many bytes are left."""

    f_frsize = 1

    def __init__(self, size: int) -> None:
        self.f_bavail = size


def test_a_full_disk_gives_up_the_least_severe_and_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([BY_LEVEL[4]] * 200 + [BY_LEVEL[1]] * 200)
        monkeypatch.setattr(os, "statvfs", lambda _: Left(0))
        outbox._do(outbox._file.relieve)
        events = [outbox.append([BY_LEVEL[1]])[0] for _ in range(60)]
        counts = outbox.counts()
        assert counts.created == 460
        assert events[-1].sequence == f"{460:020}"
        assert counts.evicted[4] > 0
        assert counts.evicted[1] == 0
        assert counts.created == counts.pending + sum(counts.evicted.values())
        assert accounted(outbox) == list(range(1, 461))
        # some of it is free again: nothing more is given up
        monkeypatch.setattr(os, "statvfs", lambda _: Left(2**24))
        outbox.expire()
        outbox.append([BY_LEVEL[1]] * 2000)
        assert outbox.evicted() == counts.evicted


def test_a_disk_without_any_room_refuses_and_uses_no_number(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: Left(2**20))
    with Outbox(path, PLENTY) as outbox:
        with pytest.raises(OutboxError, match="the disk is full"):
            outbox.append([BY_LEVEL[1]] * 50)
        assert outbox.counts().created == 0
        assert outbox.append([BY_LEVEL[1]])[0].sequence == f"{1:020}"


def test_the_ballast_is_kept_while_events_wait(path: Path) -> None:
    ballast = path.with_suffix(".ballast")
    with Outbox(path, PLENTY) as outbox:
        assert ballast.stat().st_blocks * 512 >= ballast.stat().st_size >= 2**20
        outbox.append([draft()])
    assert ballast.exists()
    with Outbox(path, PLENTY) as outbox:
        outbox._do(outbox._file.relieve)
        assert not ballast.exists()
        outbox.expire()
        assert ballast.exists()
        outbox.sent([1])
    assert not ballast.exists()


@pytest.mark.parametrize(("number", "grows"), [(errno.ENOSPC, False), (errno.EOPNOTSUPP, True)])
def test_a_disk_that_gives_no_ballast(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, grows: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with Outbox(path, PLENTY) as outbox:
        assert not path.with_suffix(".ballast").exists()
        outbox.append([draft()])
        if grows:
            outbox.append([draft()] * 500)
        else:
            with pytest.raises(OutboxError, match="the disk is full"):
                outbox.append([draft()] * 500)


def small_disk(folder: Path, command: str) -> list[str]:
    """A command in a name space of its own, in which `folder` is a disk of 12 MB."""
    mount = f"mount -t tmpfs -o size=12m none {folder} && exec {command}"
    return ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-m", "sh", "-c", mount]


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run(small_disk(tmp_path, "true"), capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets nobody mount a small disk")
    done = subprocess.run(
        small_disk(tmp_path, f"{sys.executable} -m tests.support.outbox_full_disk {tmp_path}"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["evicted"] > 0
    assert report == {
        **report,
        "refused": 0,
        "severe_lost": 0,
        "adds_up": True,
        "same_after_reopening": True,
        "accounted": True,
        "receipted": True,
    }


# Layout 1

LAYOUT_1 = """
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    state INTEGER NOT NULL DEFAULT 0,
    level INTEGER NOT NULL,
    size INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX events_by_severity ON events (level DESC, sequence, size);
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO totals VALUES ('created', 9), ('acknowledged', 2), ('evicted_1', 0), ('evicted_2', 0);
INSERT INTO totals VALUES ('evicted_3', 0), ('evicted_4', 1), ('evicted_5', 1), ('synced', 7);
INSERT INTO events VALUES (5, 0, 4, 2, 1795335303000, '{}'), (6, 0, 5, 2, 1795335303000, '{}');
INSERT INTO events VALUES (7, 0, 1, 2, 1795335303000, '{}'), (8, 0, 5, 2, 1795335303000, '{}');
INSERT INTO events VALUES (9, 0, 4, 2, 1795335303000, '{}');
PRAGMA user_version = 1;
"""


def make_layout_1(path: Path) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(LAYOUT_1)
    db.close()


def test_a_file_of_layout_1_goes_on(path: Path) -> None:
    make_layout_1(path)
    with Outbox(path, PLENTY, until="receipted") as outbox:
        counts = outbox.counts()
        assert (counts.created, counts.acknowledged, counts.pending, counts.bytes) == (9, 2, 5, 10)
        assert counts.evicted == {1: 0, 2: 0, 3: 0, 4: 1, 5: 1}
        assert [row.sequence for row in outbox.fresh()] == [7, 5, 9, 6, 8]
        assert outbox.append([draft(None)])[0].sequence == f"{10:020}"
        assert Numbers(path.with_suffix(".seq")).read() == BLOCK
        # what it gave up it did not note; whoever asks hears of it
        outbox.ask_again(1, 9)
        (event,) = outbox.report_gaps(gap)
        assert event.data.model_dump()["gap"]["ranges"] == ((1, 4),)
        assert outbox.receipted(9) == 5
    with Outbox(path, PLENTY) as outbox:
        assert outbox.counts().acknowledged == 7


def test_a_kill_while_layout_1_is_brought_up_leaves_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statement in range(1, 40):
        path = tmp_path / str(statement) / "outbox.db"
        make_layout_1(path)
        real, count = sqlite3.connect, [0]

        class Killing(sqlite3.Connection):
            def execute(self, *args: object) -> sqlite3.Cursor:  # type: ignore[override]
                count[0] += 1  # noqa: B023 - read within this round
                if count[0] == statement:  # noqa: B023
                    raise Killed
                return super().execute(*args)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda *args, **kwargs: real(*args, factory=Killing, **kwargs))  # noqa: B023
            try:
                opened = Outbox(path, PLENTY)
                ended = False
            except Killed:
                ended = True
        count[0] = statement
        if not ended:
            opened.close()
        with Outbox(path, PLENTY) as outbox:
            counts = outbox.counts()
            assert (counts.created, counts.acknowledged, counts.pending) == (9, 2, 5)
        if not ended:
            assert statement > 10
            return
    pytest.fail("it never got through")


def test_layout_1_without_its_totals_is_damaged_and_its_numbers_are_found(path: Path) -> None:
    make_layout_1(path)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM totals WHERE name = 'evicted_3'")
    db.close()
    with Outbox(path, PLENTY) as outbox:
        assert outbox.counts().newest == 2 * BLOCK
    assert aside(path)


# Errors name the file and the cure


def test_a_second_node_on_the_same_file_is_refused(path: Path) -> None:
    with Outbox(path, PLENTY), pytest.raises(OutboxError, match=r"outbox\.db is in use: another node"):
        Outbox(path, PLENTY)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    Outbox(path, PLENTY).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(OutboxError, match="layout 3 of a newer version"):
        Outbox(path, PLENTY)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutboxError, match="cannot be opened"):
        Outbox(tmp_path / "file" / "outbox.db", PLENTY)
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(OutboxError, match="cannot be opened"):
        Outbox(tmp_path / "outbox.db", PLENTY)


def test_a_place_without_write_ahead_logs_is_refused(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    # a database in memory cannot keep a log either, as some network file systems
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda _, **kwargs: real(":memory:", **kwargs))
    with pytest.raises(OutboxError, match="local disk"):
        Outbox(path, PLENTY)


def test_two_damages_within_a_second_keep_both_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Still:
        def utc(self) -> object:
            return START

        def monotonic(self) -> float:
            return 0.0

    monkeypatch.setattr("edge.outbox.SystemClock", Still)
    for _ in range(3):
        with Outbox(path, PLENTY) as outbox:
            outbox.append([draft()])
        scribble(path)
    Outbox(path, PLENTY).close()
    stem = "outbox.db.damaged-20261122T081503Z"
    assert aside(path) == [stem, f"{stem}.2", f"{stem}.3"]


def test_damage_before_the_first_event_costs_no_number(path: Path) -> None:
    Outbox(path, PLENTY).close()
    scribble(path)
    with Outbox(path, PLENTY) as outbox:
        assert outbox.append([draft()])[0].sequence == f"{1:020}"
        assert outbox.report_gaps(gap) == []
