"""The audit log: whatever is changed is found, whatever is killed goes on, and a full disk stops the act."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.audit import AuditLog, entries_between, lines_of, restart_log, verify_log
from edge.audit_chain import Act, AuditError, check, is_plain, plain
from edge.signing import activate_next, known_keys, prepare_next, verify
from streams.clock import SystemClock

WHY = "候车厅拥挤核查 North gate"


class Clock(SystemClock):
    """Wall time that moves a minute at each look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

    def utc(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def filled(folder: Path, count: int = 5) -> AuditLog:
    audit = AuditLog(folder, Clock())
    for index in range(count):
        audit.append(
            Act("li", "video.live", "allowed", f"gate-{index}", WHY, "公安局", "operator", "192.0.2.4")
        )
    return audit


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    filled(folder)
    return folder


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    audit = filled(tmp_path, 3)
    entries = [entry for _, entry in entries_between(tmp_path, *ALWAYS)]
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert entries[2].act == Act(
        "li", "video.live", "allowed", "gate-2", WHY, "公安局", "operator", "192.0.2.4"
    )
    assert entries[1].previous == entries[0].sha256
    assert verify_log(tmp_path).head == audit.head()
    assert not verify_log(tmp_path).fault
    some = entries_between(tmp_path, entries[1].at, entries[2].at)
    assert [entry.seq for _, entry in some] == [2]


ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def test_only_the_node_s_user_reads_it(tmp_path: Path) -> None:
    audit = filled(tmp_path, 1)
    assert audit.path.stat().st_mode & 0o777 == 0o600
    assert audit.path.parent.stat().st_mode & 0o777 == 0o700


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_changed_byte_is_found(written: Path, data: st.DataObject) -> None:
    content = b"\n".join(lines_of(written)) + b"\n"
    place = data.draw(st.integers(0, len(content) - 2))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    changed = content[:place] + bytes([other]) + content[place + 1 :]
    assert verdict(written, changed.split(b"\n")[:-1])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_entry_that_is_removed_doubled_or_swapped_is_found(written: Path, data: st.DataObject) -> None:
    lines = list(lines_of(written))
    first, second = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    kind = data.draw(st.sampled_from(["remove", "double", "swap"]))
    if kind == "remove":
        del lines[first]
    elif kind == "double":
        lines.insert(second, lines[first])
    else:
        lines[first], lines[second] = lines[second], lines[first]
    if lines == list(lines_of(written))[: len(lines)]:
        return  # the last one went: only the signed head can tell, see below
    assert verdict(written, lines)


def verdict(folder: Path, lines: list[bytes]) -> str:
    return check(lines, known_keys(folder), verify).fault


def test_the_first_broken_entry_is_named(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    text = audit.path.read_bytes()
    audit.path.write_bytes(text.replace(b"gate-2", b"gate-9"))
    assert "entry 3 was changed" in verify_log(tmp_path).fault
    assert verify_log(tmp_path).head.seq == 2


@pytest.mark.parametrize("kept", range(5))
def test_a_cut_tail_is_found_by_verification_and_by_the_next_entry(tmp_path: Path, kept: int) -> None:
    audit = filled(tmp_path)
    lines = list(lines_of(tmp_path))[:kept]
    audit.path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert f"entries {kept + 1} to 5 are missing" in verify_log(tmp_path).fault
    with pytest.raises(AuditError, match="cut"):
        audit.append(Act("li", "login"))


def test_a_head_that_was_removed_changed_or_put_back_is_found(tmp_path: Path) -> None:
    audit = filled(tmp_path, 2)
    head = tmp_path / "audit" / "head.json"
    old = head.read_bytes()
    for _ in range(3):
        audit.append(Act("li", "login"))
    new = head.read_bytes()
    for content, words in (
        (old, "put back"),
        (new.replace(b'"seq": 5', b'"seq": 4'), "changed"),
        (b"{", "damaged"),
    ):
        head.write_bytes(content)
        assert words in verify_log(tmp_path).fault
        with pytest.raises(AuditError):
            audit.append(Act("li", "login"))
    head.unlink()
    assert "removed" in verify_log(tmp_path).fault


def test_an_entry_of_another_key_is_none(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    filled(tmp_path, 1)
    foreign = tmp_path_factory.mktemp("foreign")
    filled(foreign, 1)
    assert "key that is not known" in verdict(tmp_path, list(lines_of(foreign)))


def test_it_goes_on_with_the_next_key(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    prepare_next(tmp_path)
    activate_next(tmp_path)
    AuditLog(tmp_path, Clock()).append(Act("li", "login"))
    assert (verify_log(tmp_path).head.seq, verify_log(tmp_path).fault) == (3, "")


@pytest.mark.parametrize("torn", [b"{", b'{"entry":{"seq":6,"at"', b"\0" * 5000, b"x" * 16_000])
def test_a_torn_line_is_removed_and_told(tmp_path: Path, torn: bytes) -> None:
    audit = filled(tmp_path)
    with audit.path.open("ab") as file:
        file.write(torn)
    again = AuditLog(tmp_path, Clock())
    assert again.head().seq == 6
    assert again.append(Act("li", "login")).seq == 7
    repair = [entry.act for _, entry in entries_between(tmp_path, *ALWAYS)][5]
    assert repair.what == "audit.repair"
    assert repair.detail.startswith(f"{len(torn)} bytes")
    assert not verify_log(tmp_path).fault


def test_a_kill_between_the_entry_and_its_head_is_no_fault(tmp_path: Path) -> None:
    audit = filled(tmp_path, 4)
    head = tmp_path / "audit" / "head.json"
    old = head.read_bytes()
    audit.append(Act("li", "login"))
    head.write_bytes(old)
    assert not verify_log(tmp_path).fault
    assert audit.append(Act("li", "login")).seq == 6


KILLED = """
import sys
from pathlib import Path
from edge.audit import AuditLog
from edge.audit_chain import Act
from streams.clock import SystemClock
audit = AuditLog(Path(sys.argv[1]), SystemClock())
while True:
    print(audit.append(Act("li", "login")).seq, file=sys.stderr, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged = 0
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stderr is not None
            for _ in range(7 + round_):
                acknowledged = int(writer.stderr.readline())
            os.kill(writer.pid, signal.SIGKILL)
        audit = AuditLog(tmp_path, SystemClock())
        assert audit.head().seq >= acknowledged
        assert not verify_log(tmp_path).fault


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The system refuses to let any file grow beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_refuses_and_leaves_the_log_whole(tmp_path: Path, room: int) -> None:
    audit = filled(tmp_path)
    size = audit.path.stat().st_size
    with files_no_longer_than(size + room), pytest.raises(AuditError, match="free some space"):
        audit.append(Act("li", "video.live", why=WHY))
    assert audit.path.stat().st_size == size
    assert audit.append(Act("li", "login")).seq == 6
    assert not verify_log(tmp_path).fault


def test_a_head_that_cannot_be_written_takes_its_entry_back(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    part = tmp_path / "audit" / "head.json.part"
    part.mkdir()
    with pytest.raises(AuditError):
        audit.append(Act("li", "login"))
    part.rmdir()
    assert audit.append(Act("li", "login")).seq == 6


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    audits = [AuditLog(tmp_path, SystemClock()) for _ in range(3)]

    def write(audit: AuditLog) -> None:
        for _ in range(10):
            audit.append(Act("li", "login"))

    threads = [threading.Thread(target=write, args=(audit,)) for audit in audits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (verify_log(tmp_path).head.seq, verify_log(tmp_path).fault) == (30, "")


def test_a_broken_log_is_put_aside_and_a_new_one_says_so(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    with pytest.raises(AuditError, match="whole"):
        restart_log(tmp_path, Clock(), "root", "the disk was restored")
    audit.path.write_bytes(b"")
    aside = restart_log(tmp_path, Clock(), "root", "the disk was restored")
    assert (aside / "head.json").exists()
    (entry,) = [entry for _, entry in entries_between(tmp_path, *ALWAYS)]
    assert (entry.act.what, entry.act.why) == ("audit.restart", "the disk was restored")
    assert audit.append(Act("li", "login")).seq == 2


def test_an_entry_is_text_of_bounded_length() -> None:
    for wrong in (
        {"why": "x" * 501}, {"who": ""}, {"who": "a\nb"}, {"detail": "\u202e"}, {"what": ""},
        {"object": "\ud800"},
    ):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011 - each names its field
            Act(**({"who": "li", "what": "login"} | wrong))
    longest = Act(*("\U0001f6a7" * n for n in (80, 60, 20, 200, 500, 100, 80, 64, 300)))
    assert is_plain(longest.why)


@given(st.text(max_size=50))
def test_plain_text_always_fits(text: str) -> None:
    assert is_plain(plain(text, 40))
    assert len(plain(text, 40)) <= 40


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda v: json.dumps({"entry": v}).encode()
    )
)
def test_junk_is_no_entry_and_never_another_error(written: Path, junk: bytes) -> None:
    assert verdict(written, [junk])
