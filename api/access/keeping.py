"""Changing users and tokens from the command line, beside a node that may run; recorded first."""

import getpass
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from api.access.accounts import Accounts, Book, User, new_machine, new_setup, new_user
from api.access.passwords import Passwords, check_choice
from api.errors import USAGE, CommandError
from edge.audit import AuditLog
from edge.audit_chain import Act, plain
from streams.clock import Clock, SystemClock


def command_user() -> str:
    """Who runs this command, as the audit log names them."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    return plain(f"command:{name}", 80)


class Keeper:
    """Changes the accounts of a node or centre.

    Args:
        data_dir: where accounts, keys and audit log lie.
        unit: the organisation, for the audit log.
        clock: wall time; the host's unless a test says otherwise.
        passwords: how they are hashed; as the node does where None.

    Raises:
        AuditError: the audit log cannot be opened, and nothing is changed unrecorded.
    """

    def __init__(
        self, data_dir: Path, unit: str = "", clock: Clock | None = None, passwords: Passwords | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._passwords = passwords
        self._unit = unit
        self._log = AuditLog(data_dir, self._clock)
        self.accounts = Accounts(data_dir)

    def add_user(self, name: str, grants: tuple[str, ...], password: str, unit: str = "") -> None:
        """Add a user, or replace one, whose sessions end.

        Raises:
            CommandError: the password will not do, or a token has that name.
            AccountsError: the name will not do, or the accounts cannot be changed.
            AuditError: that cannot be recorded.
        """
        if any(token.name == name for token in self.accounts.book().tokens):
            raise CommandError(
                f"{name!r} is a token's name; choose another, or remove the token first", USAGE
            )
        user = new_user(name, self._hashed(password, name), grants, unit)
        self._change(lambda book: book.with_user(user), "users.add", name, " ".join(grants))

    def known(self, name: str) -> User:
        """A user.

        Raises:
            CommandError: there is none of that name.
            AccountsError: the accounts cannot be read.
        """
        user = self.accounts.book().user(name)
        if user is None:
            raise CommandError(f"there is no user {name!r}; `sharpeyes users list` shows them", USAGE)
        return user

    def set_password(self, name: str, password: str) -> None:
        """Set a user's password; earlier sessions end.

        Raises:
            CommandError: there is no such user, or the password will not do.
            AccountsError: the accounts cannot be changed.
            AuditError: that cannot be recorded.
        """
        user = self.known(name)
        fresh = new_user(name, self._hashed(password, name), user.grants, user.unit)
        self._change(lambda book: book.with_user(fresh), "users.password", name)

    def remove(self, name: str) -> None:
        """Remove a user or revoke a token.

        Raises:
            CommandError: there is none of that name.
            AccountsError: the accounts cannot be changed.
            AuditError: that cannot be recorded.
        """
        if name not in self.accounts.book().names:
            raise CommandError(
                f"there is no user or token {name!r}; `sharpeyes users list` shows them", USAGE
            )
        self._change(lambda book: book.without(name), "users.remove", name)

    def make_token(self, name: str, grants: tuple[str, ...], days: float, unit: str = "") -> str:
        """A new machine token, to be shown once.

        Args:
            name: of the machine.
            grants: what it may do.
            days: until it expires.
            unit: the organisation.

        Raises:
            AccountsError: the name is taken or will not do, or the accounts cannot be changed.
            AuditError: that cannot be recorded.
        """
        secret, token = new_machine(name, grants, self._clock.utc() + timedelta(days=days), unit)
        told = f"{' '.join(grants)}, until {token.expires:%Y-%m-%d}"
        self._change(lambda book: book.with_token(token), "users.token", name, told)
        return secret

    def new_setup_link(self) -> str:
        """The secret of a new one-time link for the first admin; the one before holds no more.

        Raises:
            CommandError: there is an admin already.
            AccountsError: the accounts cannot be changed.
            AuditError: that cannot be recorded.
        """
        if self.accounts.book().has_admin:
            raise CommandError(
                "there is an admin already; `sharpeyes users password` helps whoever forgot it", USAGE
            )
        secret, setup = new_setup(self._clock.utc())
        self._change(lambda book: book.with_setup(setup), "setup.link", "")
        return secret

    def _change(self, change: Callable[[Book], Book], what: str, name: str, detail: str = "") -> None:
        act = Act(
            command_user(),
            what,
            object=plain(name, 200),
            unit=self._unit,
            role="command",
            detail=plain(detail, 300),
        )
        self.accounts.change(change, record=lambda: self._log.append(act))

    def _hashed(self, password: str, name: str) -> str:
        try:
            check_choice(password, name)
        except ValueError as exc:
            raise CommandError(str(exc), USAGE) from None
        self._passwords = self._passwords or Passwords()
        return self._passwords.hash(password)
