"""Addresses of streams: parsed once, checked, and never shown with their credentials."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from streams.errors import SourceUrlError

SCHEMES = ("rtsp", "rtsps", "http", "https", "file", "sim")
MASK = "***"
MAX_LENGTH = 4096

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET_VALUE = re.compile(
    r"(?i)(?<![a-z0-9])(password|passwd|pass|pwd|psw|token|secret|key|apikey|auth|authorization|signature|sig"
    r"|credentials?|session|user|username|usr|login)="
    r"([^&;/?#]*?)(?=$|[&;/?#]|_[a-z]+=)"
)
_AUTHORITY = re.compile(r"[^/?#]*")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_WORTH_SCRUBBING = 3


@dataclass(frozen=True, slots=True, repr=False)
class SourceUrl:
    """Where a camera, a file or a simulated scene is found.

    `str` and `repr` give `display`, so that a log line or an error cannot hold the password by accident;
    whoever really opens the source asks for `full`.

    Attributes:
        scheme: one of `SCHEMES`; a plain path is `file`.
        display: the address with user, password and secret-looking values masked.
        full: the address as given, credentials included; for `file` the plain path.
    """

    scheme: str
    display: str
    full: str
    _secrets: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.display

    def __repr__(self) -> str:
        return f"SourceUrl({self.display!r})"

    @property
    def live(self) -> bool:
        """Whether the source sets its own pace: a network camera."""
        return self.scheme in ("rtsp", "rtsps", "http", "https")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check and take apart an address.

        Args:
            text: `rtsp://`, `rtsps://`, `http://`, `https://`, `file://` or `sim://` URL, or a plain path.

        Raises:
            SourceUrlError: malformed, or a scheme that is not allowed; the message is free of credentials.
        """
        match = _SCHEME.match(text)
        scheme = match[1].lower() if match else "file"
        shown = _masked(text) if match else text
        if not text.strip():
            raise SourceUrlError(
                "the source is empty; give an rtsp://, http://, file:// or sim:// URL, or a path"
            )
        if len(text) > MAX_LENGTH:
            raise SourceUrlError(f"the source is longer than {MAX_LENGTH} characters")
        if scheme not in SCHEMES:
            raise SourceUrlError(f"{shown}: scheme {scheme!r} is not one of {', '.join(SCHEMES)}")
        if scheme == "file":
            return cls._file(text, shown)
        if _CONTROL.search(text):
            raise SourceUrlError(f"{_CONTROL.sub('?', shown)}: holds a space or control character; write %20")
        parts = _split(text, shown)
        return cls(scheme, shown, text, _secrets(text, parts))

    @classmethod
    def _file(cls, text: str, shown: str) -> Self:
        path = text
        if _SCHEME.match(text):
            parts = urlsplit(text)
            if parts.netloc not in ("", "localhost"):
                raise SourceUrlError(f"{shown}: a file on another host; write file:///path")
            path = unquote(parts.path)
        if "\x00" in path or not path:
            raise SourceUrlError(f"{shown!r}: not a path")
        return cls("file", shown, path)

    def scrub(self, text: str) -> str:
        """`text` without this address's credentials: the last guard for messages of foreign make."""
        for secret in (self.full, *self._secrets):
            if self.scheme != "file" and len(secret) >= _WORTH_SCRUBBING:
                text = text.replace(secret, self.display if secret is self.full else MASK)
        return _masked(text) if "://" in text else text


def _split(text: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SourceUrlError(
            f"{shown}: host or port is malformed; a '/', '?' or '#' in the password is written %2F, %3F, %23"
        ) from None
    if not host:
        raise SourceUrlError(f"{shown}: names no host")
    if port == 0:
        raise SourceUrlError(f"{shown}: port must be 1 to 65535")
    return parts


def _masked(text: str) -> str:
    """Mask user information and secret-looking values.

    A password with an unescaped '/' moves the '@' beyond what the standard calls the authority, so where the
    authority has a ':' and no '@', everything up to the last '@' counts as secret: rather too much than too
    little.
    """
    head, mark, rest = text.partition("://")
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # it matches the empty string too
    tail = rest[len(authority) :]
    if "@" in authority:
        authority = f"{MASK}@{authority.rpartition('@')[2]}"
    elif ":" in authority and not authority.startswith("[") and "@" in tail:
        authority, tail = f"{MASK}@", tail.rpartition("@")[2]
    return head + mark + authority + _SECRET_VALUE.sub(rf"\1={MASK}", tail)


def _secrets(text: str, parts: SplitResult) -> tuple[str, ...]:
    userinfo = parts.netloc.rpartition("@")[0]
    found = {userinfo, parts.password or "", *(m[2] for m in _SECRET_VALUE.finditer(text))}
    found |= {unquote(secret) for secret in found}
    return tuple(sorted(filter(None, found), key=len, reverse=True))
