"""Secrets that machines carry: 256 random bits, shown once, kept as SHA-256, compared in constant time."""

import hashlib
import hmac
import secrets
from collections.abc import Callable

PREFIX = "se_"
"""Begins every token, so that scanners for leaked secrets know one."""
_LONGEST = 100

Random = Callable[[int], bytes]
"""So many random bytes; `secrets.token_bytes` outside of tests."""


def new_secret(random: Random = secrets.token_bytes) -> str:
    """256 random bits as 64 hex digits."""
    return random(32).hex()


def new_token(random: Random = secrets.token_bytes) -> str:
    """A machine token."""
    return PREFIX + new_secret(random)


def digest_of(secret: str) -> str:
    """What is kept of a secret; a fast hash is enough for one that nobody can guess."""
    return hashlib.sha256(secret[:_LONGEST].encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def page_token(session: str) -> str:
    """What a page of ours sends along with its session's cookie: a page elsewhere cannot know it."""
    return hmac.new(
        session.encode("utf-8", "surrogatepass"), b"sharpeyes-page-token", hashlib.sha256
    ).hexdigest()
