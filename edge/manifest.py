"""What a piece of evidence says of itself: one signed line, in which every changed byte is found.

The line is `{"manifest": {...}, "sha256": ..., "key": ..., "signature": ...}`: `sha256` is that of the
manifest's JSON, with its keys in the order below and no spaces, and the signature (Ed25519, base64) is over
that hash.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import EdgeError

FileName = Literal["snapshot.jpg", "clip.mp4"]
SNAPSHOT: FileName = "snapshot.jpg"
CLIP: FileName = "clip.mp4"
MANIFEST: Literal["manifest.json"] = "manifest.json"
MAX_BYTES = 65_536
"""Longest manifest; a usual one has some 1,500 bytes."""
_SALT = b"sharpeyes-evidence-v1\n"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class ManifestError(EdgeError):
    """A manifest is not what was signed, or its files are not what it says."""


class Signs(Protocol):
    """What signs; `edge.signing.Signer` in a node."""

    @property
    def key_id(self) -> str:
        """16 hex digits that name the key."""
        ...

    def sign(self, body: bytes) -> bytes:
        """64 bytes over `body`."""
        ...


Verify = Callable[[str, bytes, bytes], bool]
"""Public key, body, signature: whether it is one; `edge.signing.verify`."""


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KeptFile(_Closed):
    """One file beside the manifest, and what it was when it was made."""

    bytes: int = Field(gt=0)
    sha256: Sha256


class Redaction(_Closed):
    """How people were covered. `covered` is the mean share of the clip's pictures that is, 0 to 1."""

    cover: Literal["heads", "people"]
    masks: int = Field(ge=0)
    blind_after_s: float = Field(gt=0)
    covered: float = Field(ge=0, le=1)


class Manifest(_Closed):
    """A snapshot and a clip of one incident. Times are camera seconds (`_s`), and UTC as in events."""

    format: Literal[1] = 1
    evidence: Uuid
    incident: Uuid
    node: Name
    camera: Name
    kind: str = Field(max_length=63)
    zone: Name
    level: int = Field(ge=1, le=4)
    told_s: float
    peak_s: float
    first_s: float
    last_s: float
    peak_utc: str = Field(max_length=40)
    first_utc: str = Field(max_length=40)
    last_utc: str = Field(max_length=40)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    pictures: int = Field(gt=0)
    withheld: int = Field(ge=0)
    looks: int = Field(ge=0)
    own_looks: int = Field(ge=0)
    redaction: Redaction
    files: dict[FileName, KeptFile]
    made_utc: str = Field(max_length=40)
    expires_utc: str = Field(max_length=40)
    version: str = Field(max_length=40)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(one.bytes for one in self.files.values())

    def body(self) -> bytes:
        """The JSON that is signed."""
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def sha256(self) -> str:
        """Of the JSON that is signed."""
        return hashlib.sha256(self.body()).hexdigest()


def signed(manifest: Manifest, signer: Signs) -> bytes:
    """The line that is kept."""
    digest = manifest.sha256
    line = {
        "manifest": manifest.model_dump(),
        "sha256": digest,
        "key": signer.key_id,
        "signature": b64encode(signer.sign(_SALT + digest.encode())).decode(),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read(line: bytes, keys: Mapping[str, str], verify: Verify) -> Manifest:
    """The manifest of a line, if it is what was signed.

    Args:
        line: as `signed` made it.
        keys: public halves by key id.
        verify: tells whether a signature is one.

    Raises:
        ManifestError: it is not; says why.
    """
    if len(line) > MAX_BYTES:
        raise ManifestError(f"a manifest has {MAX_BYTES} bytes at most")
    try:
        parts: dict[str, Any] = json.loads(line)
        manifest = Manifest.model_validate(parts["manifest"])
        digest, key, signature = parts["sha256"], parts["key"], b64decode(parts["signature"], validate=True)
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError, NotBase64Error):
        raise ManifestError("is no manifest") from None
    if digest != manifest.sha256 or set(parts) != {"manifest", "sha256", "key", "signature"}:
        raise ManifestError("was changed after it was signed")
    if key not in keys:
        raise ManifestError(f"is signed with key {str(key)[:16]!r}, which is none of this node's")
    if not verify(keys[key], _SALT + digest.encode(), signature):
        raise ManifestError("has a signature that is none")
    return manifest
