"""Signs what the node sends and tells whether a signature is a node's: the only door to `cryptography`.

Ed25519 (RFC 8032). A key's id is the first 16 hex digits of the SHA-256 of its 32 public bytes.
"""

import base64
import binascii
import hashlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge.durable import create_file, sync_folder
from edge.errors import EdgeError

log = structlog.get_logger(__name__)

SIGNATURE_BYTES = 64
"""Length of a signature."""

_PUBLIC_BYTES = 32
_ID_DIGITS = 16
KEYS = "keys"
"""Folder below the data directory that holds the keys."""

_CURRENT, _NEXT = "node.pem", "next.pem"
_OTHERS = 0o077


class SigningError(EdgeError):
    """A key cannot be read, made or changed; the text names the file and the cure, and quotes no key."""


class Signer:
    """Holds a node's private key and never shows it. See `Signer.open`."""

    __slots__ = ("_key", "key_id", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Sign with a key.

        Args:
            key: the private half; it stays in memory only.
        """
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public: str = base64.b64encode(raw).decode("ascii")
        """The public half as the centre needs it: base64 of 32 bytes."""
        self.key_id: str = _id_of(raw)
        """16 hex digits that name the key."""

    @classmethod
    def open(cls, folder: Path) -> "Signer":
        """The node's signer; its key is made on the first start.

        Args:
            folder: the data directory; `keys/node.pem` below it is for the node's user only.

        Raises:
            SigningError: with the file and the cure.
        """
        return cls(_found_or_made(folder, _CURRENT))

    def sign(self, body: bytes) -> bytes:
        """The signature over `body` exactly as it is, 64 bytes; the same each time."""
        return self._key.sign(body)

    def __repr__(self) -> str:
        return f"Signer(key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not copied or stored: its key stays where it is")


def prepare_next(folder: Path) -> str:
    """Make the key that will follow, once: its public half, to be told to the centre before it is used.

    Args:
        folder: as in `Signer.open`.

    Raises:
        SigningError: with the file and the cure.
    """
    return Signer(_found_or_made(folder, _NEXT)).public


def activate_next(folder: Path) -> Signer:
    """Sign with the prepared key from now on. The old one is kept as `previous-<key id>.pem`.

    After a kill at any moment there is a key, the old one or the new one, and this can be called again.

    Args:
        folder: as in `Signer.open`.

    Raises:
        SigningError: no key was prepared; or with the file and the cure.
    """
    keys = folder / KEYS
    following = keys / _NEXT
    if not following.exists():
        raise SigningError(f"{following} does not exist; prepare the next key and tell the centre first")
    signer = Signer(_load(following))
    current = keys / _CURRENT
    try:
        if current.exists():
            old = Signer(_load(current))
            with suppress(FileExistsError):
                (keys / f"previous-{old.key_id}.pem").hardlink_to(current)
            sync_folder(keys)
        following.replace(current)
        sync_folder(keys)
    except OSError as exc:
        raise _explained(current, exc) from None
    log.info("events are signed with the next key", key=signer.key_id)
    return signer


def verify(public: str, body: bytes, signature: bytes) -> bool:
    """Whether a signature over `body` is by a key.

    Args:
        public: base64 of the key's 32 public bytes; what is none verifies nothing.
        body: exactly as it was signed.
        signature: 64 bytes.
    """
    try:
        _public_key(public).verify(signature, body)
    except (InvalidSignature, SigningError):
        return False
    return True


def known_keys(folder: Path) -> dict[str, str]:
    """Public halves by key id, of all keys that sign here or did once.

    Args:
        folder: as in `Signer.open`.

    Raises:
        SigningError: with the file and the cure.
    """
    keys = folder / KEYS
    signers = (Signer(_load(path)) for path in (keys / _CURRENT, *sorted(keys.glob("previous-*.pem"))))
    return {signer.key_id: signer.public for signer in signers}


def key_id_of(public: str) -> str:
    """The id of a key by its public half.

    Args:
        public: base64 of 32 bytes, with or without padding.

    Raises:
        SigningError: it is none.
    """
    return _id_of(_public_bytes(public))


def _id_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:_ID_DIGITS]


def _public_bytes(public: str) -> bytes:
    try:
        raw = base64.b64decode(public + "=" * (-len(public) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _PUBLIC_BYTES:
        raise SigningError("a public key is base64 of 32 bytes: 43 characters and '='")
    return raw


@lru_cache(maxsize=4096)
def _public_key(public: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(_public_bytes(public))


def _found_or_made(folder: Path, name: str) -> Ed25519PrivateKey:
    path = folder / KEYS / name
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # whoever came first has made the key
            with suppress(FileExistsError):
                create_file(path, _new_pem())
            sync_folder(folder)
    except OSError as exc:
        raise _explained(path, exc) from None
    return _load(path)


def _new_pem() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        if path.stat().st_mode & _OTHERS:
            raise SigningError(f"{path} is open to other users; run `chmod 600`, or better make a new key")
        # no variable holds the text: a traceback with its variables must not show it
        key = _parsed(path.read_bytes())
    except OSError as exc:
        raise _explained(path, exc) from None
    if key is None:
        raise SigningError(
            f"{path} holds no unencrypted Ed25519 key in PEM; restore it, or move it away: a new one is made"
            " at the next start, and the centre must be told its public half"
        )
    return key


def _parsed(pem: bytes) -> Ed25519PrivateKey | None:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _explained(path: Path, exc: OSError) -> SigningError:
    reason = os.strerror(exc.errno) if exc.errno else "it failed"
    return SigningError(
        f"{path} cannot be read or written ({reason}); it must belong to the node's user, with mode 600 in a"
        " folder of mode 700 on a local disk"
    )
