"""Passwords: argon2id, and the same cost whether or not an account exists. The only door to argon2."""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 128


def check_choice(password: str, name: str) -> None:
    """Whether somebody may choose that password.

    Raises:
        ValueError: says why not, and quotes nothing of it.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"a password has {SHORTEST} to {LONGEST} characters")
    if len(set(password)) < 5:
        raise ValueError("a password of so few different characters is guessed first")
    if name.casefold() in password.casefold() or password.casefold() in name.casefold():
        raise ValueError("a password does not hold the name")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in password):
        raise ValueError("a password holds no control characters")


class Passwords:
    """Hashes and checks passwords. For several threads.

    Args:
        hasher: its cost; the library's default is that of RFC 9106 for small machines: 64 MiB, 3 passes.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        # what a name without an account is checked against
        self._nobody = self._hasher.hash("nobody's password, checked for its cost")

    def hash(self, password: str) -> str:
        """What is kept of a password, in the PHC format."""
        return self._hasher.hash(_normal(password))

    def check(self, password: str, kept: str | None) -> bool:
        """Whether it is the password that `kept` is of; False at the same cost where `kept` is None."""
        right = self._verified(kept or self._nobody, _normal(password[: LONGEST + 1]))
        return right and kept is not None

    def _verified(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def _normal(password: str) -> str:
    """The same characters however a keyboard composes them (RFC 8265); what is no text stays no password."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace").decode("utf-8")


def quick() -> Passwords:
    """Cheap hashes, for tests and nothing else."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
