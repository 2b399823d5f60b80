"""An application with users, tokens and an audit log, on a clock that tests own."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from fastapi import FastAPI

from api.access.accounts import Accounts, new_machine, new_user
from api.access.gate import Access, Rules
from api.access.passwords import quick
from api.access.roles import Camera
from api.access.sessions import Sessions
from api.access.trail import Trail
from edge.audit import AuditLog, entries_between
from edge.audit_chain import Act

PASSWORD = "correct horse battery staple"  # noqa: S105 - of nobody
CAMERAS = {"gate-2": Camera("gate-2", "360103001001001"), "gate-3": Camera("gate-3", "360104")}
WHY = "checking the crowd at the gate"
IDLE_S, MOST_S = 1800.0, 43_200.0


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 11, 22, 8, 0, tzinfo=UTC) + timedelta(seconds=self.now_s)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return event.is_set()


@dataclass
class House:
    """Who may come in, and what was written of them."""

    folder: Path
    users: bool = True
    tls: bool = False
    audited: bool = True
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.passwords = quick()
        self.accounts = Accounts(self.folder)
        self.log = AuditLog(self.folder, self.clock)
        self.access = Access(
            Rules(self.users, self.tls, CAMERAS, "Duty office"),
            self.accounts,
            Sessions(self.clock.monotonic, IDLE_S, MOST_S),
            Trail(self.log if self.audited else None, self.clock.monotonic),
            self.clock,
            lambda: self.passwords,
        )

    def user(self, name: str, *grants: str, password: str = PASSWORD) -> None:
        made = new_user(name, self.passwords.hash(password), grants or ("viewer",))
        self.accounts.change(lambda book: book.with_user(made))

    def token(self, *grants: str, name: str = "machine", holds_s: float = 3600.0) -> str:
        secret, kept = new_machine(name, grants, self.clock.utc() + timedelta(seconds=holds_s))
        self.accounts.change(lambda book: book.with_token(kept))
        return secret

    def acts(self) -> list[Act]:
        always = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        return [entry.act for _, entry in entries_between(self.folder, *always)]


def client(app: FastAPI, *, tls: bool = False, address: str = "192.0.2.44") -> httpx.AsyncClient:
    """Somebody at `address` who asks the application."""
    transport = httpx.ASGITransport(app, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http{'s' if tls else ''}://127.0.0.1:8080")


async def sign_in(http: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    """Sign in; the client keeps the cookie, and sends the page token from now on."""
    answer = await http.post("/login", json={"name": name, "password": password})
    if answer.status_code == 204:
        http.headers["X-CSRF-Token"] = (await http.get("/session")).json()["csrf"]
    return answer
