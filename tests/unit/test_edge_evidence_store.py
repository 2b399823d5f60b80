"""Evidence on disk: whole or not at all, gone when it is to be gone, and every deletion in the audit log."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.evidence_store import EvidenceError, Piece, check, first_to_go
from edge.manifest import CLIP, MANIFEST, ManifestError, read, signed
from edge.signing import Signer, known_keys, verify
from tests.support.evidence import Register, Wall, keep, manifest, new_ids, store

IDS = new_ids()


def pieces(*levels_and_sizes: tuple[int, int]) -> list[Piece]:
    wall = Wall()
    made = []
    for level, size in levels_and_sizes:
        wall.go(seconds=1)
        made.append(Piece(manifest(IDS(), wall, level=level, size=size), wall.now, wall.now))
    return made


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(20, 1000)), max_size=20), st.integers(0, 8000))
def test_the_least_severe_goes_first_then_the_oldest(sizes: list[tuple[int, int]], quota: int) -> None:
    every = pieces(*sizes)
    going = first_to_go(every, quota)
    staying = [one for one in every if one not in going]
    assert sum(one.manifest.size for one in staying) <= quota or not staying
    if going:
        assert sum(one.manifest.size for one in (*staying, going[-1])) > quota
    for gone in going:
        for kept in staying:
            assert gone.manifest.level >= kept.manifest.level
            assert gone.manifest.level > kept.manifest.level or gone.made < kept.made


def test_a_piece_is_there_until_it_expires_and_then_provably_gone(tmp_path: Path) -> None:
    wall, register = Wall(), Register()
    one = store(tmp_path, wall, register)
    piece = keep(one, wall, IDS(), ttl_h=72.0)
    assert one.get(piece.id, "gate") == piece
    assert one.get(piece.id, "other") is None
    folder = one.path(piece, CLIP).parent
    wall.go(hours=72)
    assert one.get(piece.id, "gate") is None
    assert one.of("gate") == []
    one.tend()
    assert not folder.exists()
    (act,) = register.acts
    assert (act.what, act.object, act.why, act.outcome) == ("evidence.delete", piece.id, "expired", "done")
    assert piece.manifest.sha256 in act.detail
    assert one.counts().deleted == {"expired": 1}


def test_what_the_audit_log_could_not_take_is_told_later_and_deleted_anyway(tmp_path: Path) -> None:
    wall, register = Wall(), Register(broken=True)
    one = store(tmp_path, wall, register)
    piece = keep(one, wall, IDS(), ttl_h=1.0)
    wall.go(hours=2)
    one.tend()
    assert not one.path(piece, CLIP).exists()
    assert register.acts == []
    register.broken = False
    one.tend()
    assert [act.object for act in register.acts] == [piece.id]


def test_the_quota_takes_the_least_severe_even_if_it_is_the_newest(tmp_path: Path) -> None:
    wall, register = Wall(), Register()
    one = store(tmp_path, wall, register, quota=250)
    severe = keep(one, wall, IDS(), level=1)
    mild = keep(one, wall, IDS(), level=3)
    mildest = keep(one, wall, IDS(), level=4)
    assert {piece.id for piece in one.of("gate")} == {severe.id, mild.id}
    assert [(act.object, act.why) for act in register.acts] == [(mildest.id, "evicted")]
    with pytest.raises(EvidenceError, match=r"quota_mb"):
        keep(one, wall, IDS(), level=1, size=300)
    assert one.counts().bytes == 200


def test_after_a_restart_it_finds_what_is_whole_and_removes_the_rest(tmp_path: Path) -> None:
    wall, register = Wall(), Register()
    one = store(tmp_path, wall, register)
    kept, short, forged, going = (keep(one, wall, IDS()) for _ in range(4))
    one.making(IDS())
    os.truncate(one.path(short, CLIP), 5)
    line = json.loads(one.path(forged, MANIFEST).read_bytes())
    line["manifest"]["level"] = 4
    one.path(forged, MANIFEST).write_text(json.dumps(line))
    folder = one.path(going, CLIP).parent
    folder.rename(folder.with_name(f".going-{going.id}"))
    again = store(tmp_path, wall, register)
    assert [piece.id for piece in again.of("gate")] == [kept.id]
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == [kept.id]
    assert {(act.object, act.why) for act in register.acts} == {
        (short.id, "damaged"), (forged.id, "damaged"), (going.id, "damaged")
    }  # fmt: skip


def test_a_disk_without_room_keeps_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, register = Wall(), Register()
    one = store(tmp_path, wall, register)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.evidence_store.create_file", full)
    with pytest.raises(EvidenceError, match="No space left"):
        keep(one, wall, IDS())
    assert list((tmp_path / "evidence").iterdir()) == []
    assert one.of("gate") == []


def test_every_changed_byte_of_a_piece_is_found(tmp_path: Path) -> None:
    wall = Wall()
    keys = known_keys(tmp_path) if (tmp_path / "keys").exists() else {}
    signer = Signer.open(tmp_path)
    keys = known_keys(tmp_path)
    line = signed(manifest(IDS(), wall), signer)
    assert read(line, keys, verify).level == 2
    for at in range(0, len(line) - 1, 7):
        changed = bytearray(line)
        changed[at] ^= 1
        with pytest.raises(ManifestError):
            read(bytes(changed), keys, verify)
    with pytest.raises(ManifestError, match="none of this node's"):
        read(line, {}, verify)
    with pytest.raises(ManifestError, match="at most"):
        read(line + bytes(70_000), keys, verify)


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode) | st.just(b"[" * 5000))
def test_rubbish_is_no_manifest(line: bytes) -> None:
    with pytest.raises(ManifestError):
        read(line, {}, verify)


def test_files_are_checked_byte_by_byte(tmp_path: Path) -> None:
    wall, register = Wall(), Register()
    one = store(tmp_path, wall, register)
    piece = keep(one, wall, IDS())
    with pytest.raises(ManifestError, match="not what was signed"):  # made up, as `keep` of the tests does
        check(one.path(piece, CLIP).parent, known_keys(tmp_path), verify)
    one.path(piece, CLIP).unlink()
    with pytest.raises(ManifestError):
        check(one.path(piece, CLIP).parent, known_keys(tmp_path), verify)


def test_files_are_for_the_nodes_user_alone(tmp_path: Path) -> None:
    one = store(tmp_path, Wall(), Register())
    piece = keep(one, Wall(), IDS())
    assert one.path(piece, CLIP).parent.stat().st_mode & 0o077 == 0
