"""Reading a node's public key as people write it."""

import base64
import binascii
import re

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{43}=?")


def public_key(text: str) -> bytes:
    """An Ed25519 public key, 32 bytes, from 64 hexadecimal digits or base64.

    Raises:
        ValueError: it is neither; quotes nothing of it.

    Example:
        >>> public_key("00" * 32) == public_key("A" * 43)
        True
    """
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE64.fullmatch(text):
        try:
            return base64.b64decode(text.rstrip("=").translate(_URL_SAFE) + "=", validate=True)
        except binascii.Error:
            pass
    raise ValueError("a public key is written as 64 hexadecimal digits, or 43 characters of base64")


_URL_SAFE = str.maketrans("-_", "+/")
