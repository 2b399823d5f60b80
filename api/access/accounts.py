"""Users, machine tokens and the setup link, in one private file below the data directory."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from api.access.roles import Grant, Role, grants_of, is_name
from api.access.tokens import digest_of, new_secret, new_token, same
from edge.durable import PRIVATE, replace_file
from edge.errors import EdgeError

MOST = 500
"""Users, and tokens, at most."""
SETUP_S = 3600.0
"""Seconds for which a setup link holds."""
_OTHERS = 0o077
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AccountsError(EdgeError):
    """The file of accounts cannot be read or written, or a change of it makes no sense."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Granted(_Kept):
    name: str
    unit: str = Field("", max_length=100)
    grants: tuple[str, ...] = Field(min_length=1, max_length=16)

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError(
                "a name has 1 to 80 letters, digits and . @ : / + - _, and begins with a letter or digit"
            )
        return value

    @field_validator("grants")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        grants_of(value)
        return value

    def parsed(self) -> tuple[Grant, ...]:
        """The grants."""
        return grants_of(self.grants)


class User(_Granted):
    """Somebody with a password.

    Attributes:
        password: argon2id, in the PHC format; never the password.
        stamp: changes with whatever ends the user's sessions.
    """

    password: str = Field(repr=False, min_length=1, max_length=512)
    stamp: str


class Token(_Granted):
    """A machine, by what it carries.

    Attributes:
        digest: SHA-256 of the token.
        expires: from then on it is none.
    """

    digest: Digest = Field(repr=False)
    expires: AwareDatetime


class Setup(_Kept):
    """The link with which the first admin sets name and password.

    Attributes:
        digest: SHA-256 of its secret.
        expires: from then on it is none.
    """

    digest: Digest = Field(repr=False)
    expires: AwareDatetime


class Book(_Kept):
    """All accounts."""

    users: tuple[User, ...] = Field((), max_length=MOST)
    tokens: tuple[Token, ...] = Field((), max_length=MOST)
    setup: Setup | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [one.name for one in (*self.users, *self.tokens)]
        if len(set(names)) != len(names):
            raise ValueError("a name is used twice")
        return self

    def user(self, name: str) -> User | None:
        """The user of that name."""
        return next((user for user in self.users if user.name == name), None)

    def token(self, secret: str, now: datetime) -> Token | None:
        """The token that holds now and is `secret`; looks at all of them, whichever it is."""
        digest = digest_of(secret)
        found = [token for token in self.tokens if same(token.digest, digest)]
        return found[0] if found and now < found[0].expires else None

    @property
    def has_admin(self) -> bool:
        """Whether somebody may administer everything."""
        everything = Grant(Role.ADMIN)
        return any(everything in user.parsed() for user in self.users)

    @property
    def names(self) -> frozenset[str]:
        """Names of all users and tokens."""
        return frozenset(one.name for one in (*self.users, *self.tokens))

    def with_user(self, user: User) -> "Book":
        """With that user, in the place of one of that name."""
        return self._checked(users=(*(u for u in self.users if u.name != user.name), user))

    def with_token(self, token: Token) -> "Book":
        """With that token."""
        return self._checked(tokens=(*self.tokens, token))

    def with_setup(self, setup: Setup | None) -> "Book":
        """With that setup link, or none."""
        return self._checked(setup=setup)

    def without(self, name: str) -> "Book":
        """Without the user or token of that name."""
        return self._checked(
            users=tuple(u for u in self.users if u.name != name),
            tokens=tuple(t for t in self.tokens if t.name != name),
        )

    def _checked(self, **changes: object) -> "Book":
        return Book.model_validate({**{name: getattr(self, name) for name in Book.model_fields}, **changes})


def new_user(name: str, password_hash: str, grants: tuple[str, ...], unit: str = "") -> User:
    """A user, whose earlier sessions end.

    Raises:
        AccountsError: says what is wrong.
    """
    with _told():
        return User(name=name, unit=unit, grants=grants, password=password_hash, stamp=secrets.token_hex(8))


def new_machine(name: str, grants: tuple[str, ...], expires: datetime, unit: str = "") -> tuple[str, Token]:
    """A machine's token, to be shown once, and what is kept of it.

    Raises:
        AccountsError: says what is wrong.
    """
    secret = new_token()
    with _told():
        return secret, Token(name=name, unit=unit, grants=grants, digest=digest_of(secret), expires=expires)


def new_setup(now: datetime) -> tuple[str, Setup]:
    """A setup link's secret and what is kept of it."""
    secret = new_secret()
    return secret, Setup(digest=digest_of(secret), expires=now + timedelta(seconds=SETUP_S))


class Accounts:
    """The file of accounts; commands change it beside the node that runs, which sees that at once.

    Args:
        data_dir: of the node.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "access"
        self._path = self._folder / "accounts.json"
        self._seen: tuple[int, int, int] | None = None
        self._book = Book()

    def book(self) -> Book:
        """The accounts as they are now.

        Raises:
            AccountsError: the file cannot be read, is open to others, or damaged.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._seen, self._book = None, Book()
            return self._book
        except OSError as exc:
            raise self._explained(exc) from None
        seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        if seen != self._seen:
            if state.st_mode & _OTHERS:
                raise AccountsError(
                    f"{self._path} is open to other users; run `chmod 600`, and change the passwords"
                )
            self._book, self._seen = self._read(), seen
        return self._book

    def change(self, change: Callable[[Book], Book], record: Callable[[], object] | None = None) -> Book:
        """Change the accounts, one change at a time; on the disk when this returns.

        Args:
            change: gives the new accounts.
            record: called when the change makes sense, before it is made; what it raises stops the change.

        Raises:
            AccountsError: it makes no sense, or the file cannot be written.
        """
        with self._held():
            with _told():
                book = change(self.book())
            if record is not None:
                record()
            try:
                replace_file(self._path, book.model_dump_json(indent=1).encode())
            except OSError as exc:
                raise self._explained(exc) from None
        return self.book()

    def _read(self) -> Book:
        try:
            return Book.model_validate_json(self._path.read_bytes())
        except OSError as exc:
            raise self._explained(exc) from None
        except ValidationError as exc:
            where = "; ".join(".".join(map(str, error["loc"])) for error in exc.errors(include_input=False))
            raise AccountsError(
                f"{self._path} is damaged ({where or 'as a whole'}); restore it, or move it away: the next "
                "start prints a setup link"
            ) from None

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._folder / "lock", flags, PRIVATE)
        except OSError as exc:
            raise self._explained(exc) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _explained(self, exc: OSError) -> AccountsError:
        return AccountsError(
            f"{self._path} cannot be read or written: {exc.strerror}; it belongs to the node's user"
        )


@contextmanager
def _told() -> Iterator[None]:
    """A change that makes no sense, in one line without any value."""
    try:
        yield
    except ValidationError as exc:
        errors = exc.errors(include_input=False, include_url=False)
        raise AccountsError("; ".join(e["msg"].removeprefix("Value error, ") for e in errors)) from None
