"""Signatures: Ed25519 as in RFC 8032, a key of its own that nobody sees, rotation that survives a kill."""

import base64
import copy
import hashlib
import os
import pickle
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from edge.signing import (
    SIGNATURE_BYTES,
    Signer,
    SigningError,
    activate_next,
    key_id_of,
    prepare_next,
    verify,
)

# RFC 8032, section 7.1, test 1: the empty message
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(SECRET))
OTHER = Signer(Ed25519PrivateKey.from_private_bytes(SECRET[::-1]))


def key_file(folder: Path) -> Path:
    return folder / "keys" / "node.pem"


def pem(key: object, lock: KeySerializationEncryption | None = None) -> bytes:
    made: bytes = key.private_bytes(  # type: ignore[attr-defined]
        Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()
    )
    return made


def test_signatures_are_those_of_the_standard() -> None:
    assert SIGNER.public == base64.b64encode(PUBLIC).decode()
    assert SIGNER.sign(b"") == SIGNATURE
    assert verify(SIGNER.public, b"", SIGNATURE)
    assert SIGNER.key_id == hashlib.sha256(PUBLIC).hexdigest()[:16] == key_id_of(SIGNER.public)


@given(body=st.binary(max_size=300), flip=st.integers(0, 8 * SIGNATURE_BYTES - 1))
def test_only_the_same_body_signed_by_the_same_key_is_accepted(body: bytes, flip: int) -> None:
    signature = SIGNER.sign(body)
    assert len(signature) == SIGNATURE_BYTES
    assert verify(SIGNER.public, body, signature)
    assert verify(SIGNER.public.rstrip("="), body, signature)
    assert not verify(OTHER.public, body, signature)
    assert not verify(SIGNER.public, body + b" ", signature)
    forged = bytearray(signature)
    forged[flip // 8] ^= 1 << flip % 8
    assert not verify(SIGNER.public, body, bytes(forged))


@pytest.mark.parametrize("signature", [b"", b"x", SIGNATURE[:-1], SIGNATURE + b"\0"])
def test_what_is_no_signature_verifies_nothing(signature: bytes) -> None:
    assert not verify(SIGNER.public, b"", signature)


@pytest.mark.parametrize("public", ["", "?", "AAAA", SIGNER.public + "AAAA", "ä" * 43, "=" * 44])
def test_what_is_no_key_verifies_nothing_and_has_no_id(public: str) -> None:
    assert not verify(public, b"", SIGNATURE)
    with pytest.raises(SigningError, match="base64 of 32 bytes"):
        key_id_of(public)


def test_the_key_is_made_once_and_for_the_node_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = Signer.open(data)
    assert first.public == Signer.open(data).public
    assert first.sign(b"x") == Signer.open(data).sign(b"x")
    assert [child.name for child in (data / "keys").iterdir()] == ["node.pem"]
    assert key_file(data).stat().st_mode & 0o777 == 0o600
    assert (data / "keys").stat().st_mode & 0o777 == 0o700
    assert key_file(data).read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert Signer.open(tmp_path / "other").public != first.public


def test_nodes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    ready = threading.Barrier(8)
    seen: list[str] = []

    def start() -> None:
        ready.wait(20)
        seen.append(Signer.open(tmp_path).public)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 8
    assert len(set(seen)) == 1


# Rotation


def test_the_next_key_is_told_before_it_is_used(tmp_path: Path) -> None:
    old = Signer.open(tmp_path)
    public = prepare_next(tmp_path)
    assert public == prepare_next(tmp_path) != old.public
    assert Signer.open(tmp_path).public == old.public
    new = activate_next(tmp_path)
    assert new.public == Signer.open(tmp_path).public == public
    kept = tmp_path / "keys" / f"previous-{old.key_id}.pem"
    assert sorted(child.name for child in kept.parent.iterdir()) == ["node.pem", kept.name]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert verify(old.public, b"x", old.sign(b"x"))
    with pytest.raises(SigningError, match=r"next\.pem does not exist; prepare the next key"):
        activate_next(tmp_path)
    prepare_next(tmp_path)
    activate_next(tmp_path)
    assert len(list(kept.parent.iterdir())) == 3


def test_a_first_key_may_be_a_prepared_one(tmp_path: Path) -> None:
    public = prepare_next(tmp_path)
    assert activate_next(tmp_path).public == public
    assert [child.name for child in (tmp_path / "keys").iterdir()] == ["node.pem"]


class Killed(BaseException):
    """Stands for the end of the process; nothing in the product catches it."""


def test_a_kill_in_the_middle_leaves_the_old_key_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_at(call: int, act: Callable[[], object]) -> bool:
        calls = 0

        def killing(real: Callable[..., object]) -> Callable[..., object]:
            def method(*args: object, **kwargs: object) -> object:
                nonlocal calls
                calls += 1
                if calls == call:
                    raise Killed
                return real(*args, **kwargs)

            return method

        with monkeypatch.context() as patch:
            for name in ("link", "replace", "rename", "fsync", "open"):
                patch.setattr(os, name, killing(getattr(os, name)))
            try:
                act()
            except Killed:
                return True
        return False

    for call in range(1, 30):
        folder = tmp_path / str(call)
        ended = killed_at(call, lambda folder=folder: Signer.open(folder))  # type: ignore[misc]
        old = Signer.open(folder)
        ended |= killed_at(call, lambda folder=folder: prepare_next(folder))  # type: ignore[misc]
        public = prepare_next(folder)
        rotated = killed_at(call, lambda folder=folder: activate_next(folder))  # type: ignore[misc]
        assert Signer.open(folder).public in {old.public, public}
        if (folder / "keys" / "next.pem").exists():
            activate_next(folder)
        assert Signer.open(folder).public == public
        kept = (folder / "keys" / f"previous-{old.key_id}.pem").read_bytes()
        key = load_pem_private_key(kept, None)
        assert isinstance(key, Ed25519PrivateKey)
        assert Signer(key).public == old.public
        if not ended and not rotated:
            return
    pytest.fail("it never got through")


# Errors name the file and the cure, and nothing shows the key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    Signer.open(tmp_path)
    key_file(tmp_path).chmod(mode)
    with pytest.raises(SigningError, match=r"node\.pem is open to other users; run `chmod 600`"):
        Signer.open(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        pem(Ed25519PrivateKey.from_private_bytes(SECRET))[:-40],
        pem(Ed25519PrivateKey.from_private_bytes(SECRET), BestAvailableEncryption(b"secret")),
        pem(ec.generate_private_key(ec.SECP256R1())),
        b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(SECRET * 9) + b"\n-----END PRIVATE KEY-----\n",
    ],
)
def test_a_broken_key_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    Signer.open(tmp_path)
    key_file(tmp_path).write_bytes(content)
    with pytest.raises(SigningError, match=r"node\.pem holds no unencrypted Ed25519 key in PEM") as caught:
        Signer.open(tmp_path)
    below = caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    told = traceback.TracebackException(SigningError, caught.value, below, capture_locals=True)
    shown = "".join(told.format())
    quoted = [line for line in content.decode().splitlines() if len(line) > 20 and "KEY" not in line]
    assert not any(line in shown for line in quoted)


def test_a_place_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(SigningError, match=r"node\.pem cannot be read or written \(.*mode 600"):
        Signer.open(tmp_path)
    (tmp_path / "keys").unlink()
    key_file(tmp_path).mkdir(parents=True, mode=0o700)
    with pytest.raises(SigningError, match=r"node\.pem cannot be read or written \(Is a directory"):
        Signer.open(tmp_path)


def test_a_disk_that_fails_while_the_key_changes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Signer.open(tmp_path)
    prepare_next(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(SigningError, match=r"node\.pem cannot be read or written \(Read-only"):
        activate_next(tmp_path)


def test_a_signer_shows_its_id_and_nothing_else() -> None:
    assert repr(SIGNER) == f"Signer(key_id='{SIGNER.key_id}')"
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied or stored"):
            copied(SIGNER)
