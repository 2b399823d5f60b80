"""The door: what may be bound, TLS with one's own certificate or a made one, the first admin's link."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from api import access, door, serve
from api.access.opening import open_sign_on
from api.cli import app as commands
from api.commands import health as health_command
from api.door import Door, Shown, certificate_names, open_node_door, page_of
from api.errors import CommandError
from edge.audit import entries_between
from edge.certificate import own_certificate
from edge.config import Config
from streams.clock import SystemClock
from tests.support.api_node import FakeNode

pytestmark = pytest.mark.asyncio
OPEN = "0.0.0.0"  # noqa: S104 - what is refused here


def config(folder: Path, **sections: dict[str, Any]) -> Config:
    base: dict[str, Any] = {"node": {"data_dir": str(folder)}, "http": {"port": 0}}
    return Config.model_validate(base | sections | {"cameras": [{"id": "gate-2", "source": "sim://plaza"}]})


@pytest.mark.parametrize("host", [OPEN, "::", "192.0.2.7", "node-1.example"])
@pytest.mark.parametrize(
    ("tls", "users", "missing"), [(False, False, "TLS.*users"), (True, False, "users"), (False, True, "TLS")]
)
async def test_the_network_needs_tls_and_users(
    tmp_path: Path, host: str, tls: bool, users: bool, missing: str
) -> None:
    parts = {"tls": {"generate": tls}, "access": {"users": users}}
    with pytest.raises(ValidationError, match=f"needs {missing}.*docs/access.md"):
        config(tmp_path, http={"host": host}, **parts)
    # --host comes after the configuration was checked
    late = config(tmp_path, **parts)
    late = late.model_copy(update={"http": late.http.model_copy(update={"host": host})})
    with pytest.raises(CommandError, match="opens the node to the network") as error:
        await serve.serve(late, FakeNode.open, _watch)
    assert error.value.code == 2


async def _watch(_node: object, _url: str) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
async def test_loopback_needs_nothing(tmp_path: Path, host: str) -> None:
    assert config(tmp_path, http={"host": host}).http.host == host
    assert config(tmp_path, http={"host": OPEN}, tls={"generate": True}, access={"users": True})


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"tls": {"certificate": "a.pem"}}, "needs tls.key"),
        ({"tls": {"key": "a.pem"}}, "needs tls.certificate"),
        ({"tls": {"certificate": "a", "key": "b", "generate": True}}, "without a certificate of their own"),
        ({"access": {"oidc": {}}}, "discovery_url"),
        ({"http": {"names": ["a b"]}}, "names"),
    ],
)
async def test_sections_that_do_not_fit_together(tmp_path: Path, section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(tmp_path, **section)


async def test_oidc_needs_users_and_safe_addresses(tmp_path: Path) -> None:
    oidc = {
        "discovery_url": "https://id.example/.well-known/openid-configuration",
        "client_id": "node-1",
        "client_secret": "secret",
        "callback_url": "https://node.example/login/oidc/callback",
        "roles": {"duty": "operator"},
    }
    made = config(tmp_path, access={"users": True, "oidc": oidc})
    assert made.access.oidc is not None
    assert "'secret'" not in repr(made)
    with pytest.raises(ValidationError, match=r"needs access\.users"):
        config(tmp_path, access={"oidc": oidc})
    for bad in ("http://id.example/x", "https://u:p@id.example/x", "ftp://x", "https://", "https://[::1"):
        with pytest.raises(ValidationError, match="https:// address"):
            config(tmp_path, access={"users": True, "oidc": oidc | {"discovery_url": bad}})


class Served:
    """A node being served with TLS and users."""

    def __init__(self, made: Config) -> None:
        self.config = made
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def watch(self, _node: object, url: str) -> None:
        self.url.set_result(url)
        await asyncio.Event().wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        task = asyncio.create_task(serve.serve(self.config, FakeNode.open, self.watch))
        try:
            async with asyncio.timeout(20):
                yield await self.url
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await task


async def test_a_node_speaks_tls_and_prints_one_link(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = config(tmp_path, tls={"generate": True}, access={"users": True})
    async with Served(made).running() as url:
        assert url.startswith("https://127.0.0.1:")
        port = int(url.rstrip("/").rpartition(":")[2])
        async with asyncio.timeout(20):
            # listening from the start; it answers once the interface is up
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=await _trust(tmp_path))
            writer.close()
        async with httpx.AsyncClient(verify=await _trust(tmp_path), timeout=20) as http:
            answer = await http.get(url + "healthz")
            assert answer.headers["strict-transport-security"].startswith("max-age=")
            assert (await http.get(url + "cameras")).status_code == 401
            told = capfd.readouterr()
            (link,) = [line.strip() for line in told.err.splitlines() if "/set-up#" in line]
            assert link.startswith(f"{url}set-up#")
            assert link.rpartition("#")[2] not in told.out
            body = {"token": link.rpartition("#")[2], "name": "li", "password": "correct horse battery"}
            first = await http.post(url + "setup", json=body)
            assert first.status_code == 204
            assert first.headers["set-cookie"].startswith("__Host-sharpeyes=")
            assert (await http.get(url + "cameras")).status_code == 200
        result = await asyncio.to_thread(CliRunner().invoke, commands, ["health", "--url", url])
        assert result.exit_code == 0, result.output
        pinned = tmp_path / "tls" / "certificate.pem"
        result = await asyncio.to_thread(
            CliRunner().invoke, commands, ["health", "--url", url, "--ca-file", str(pinned)]
        )
        assert result.exit_code == 0, result.output
    async with Served(made).running():
        pass
    assert "/set-up#" not in capfd.readouterr().err


async def _trust(folder: Path) -> ssl.SSLContext:
    path = folder / "tls" / "certificate.pem"
    while not path.exists():  # noqa: ASYNC110 - the node makes it as it starts
        await asyncio.sleep(0.01)
    return await asyncio.to_thread(ssl.create_default_context, cafile=path)


async def test_a_replaced_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    ours, theirs = (own_certificate(tmp_path / name, ["localhost"], SystemClock()) for name in "ab")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for source in (ours, theirs):
        assert source.chain == source.key
    chain.write_bytes(ours.chain.read_bytes())
    key.write_bytes(ours.key.read_bytes())
    key.chmod(0o600)
    made = config(tmp_path, tls={"certificate": str(chain), "key": str(key)})
    shown = Shown.open(made.tls, made.http, tmp_path, SystemClock())
    assert shown.certificate.sha256 == ours.sha256
    assert not shown.refresh()
    chain.write_bytes(theirs.chain.with_name("certificate.pem").read_bytes())
    assert not shown.refresh()  # the key is still the old one
    assert shown.certificate.sha256 == ours.sha256
    key.write_bytes(theirs.key.read_bytes())
    keeping = asyncio.create_task(Door(None, shown).keep_certificate(0.001))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        while shown.certificate.sha256 != theirs.sha256:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    chain.unlink()
    assert not shown.refresh()


async def test_names_of_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box" + "x" * 70)
    made = config(
        tmp_path, http={"host": OPEN, "names": ["Node-1.example", "192.0.2.7"]}, tls={"generate": True},
        access={"users": True},
    )  # fmt: skip
    assert certificate_names(made.http) == {"localhost", "127.0.0.1", "::1", "node-1.example", "192.0.2.7"}
    assert page_of(made.http, made.tls) == "https://Node-1.example:8080/"
    assert page_of(made.http, made.tls, "https://127.0.0.1:4711/") == "https://Node-1.example:4711/"
    plain = config(tmp_path, http={"host": "::1", "port": 80})
    assert page_of(plain.http, plain.tls) == "http://[::1]:80/"
    assert page_of(plain.http, plain.tls, "http://127.0.0.1:5/") == "http://127.0.0.1:5/"


async def test_health_knows_what_it_is_asked(tmp_path: Path) -> None:
    for wrong in (
        ["--url", "ftp://x"],
        ["--url", "https://127.0.0.1:1", "--ca-file", str(tmp_path / "none")],
    ):
        assert CliRunner().invoke(commands, ["health", *wrong]).exit_code == 2
    assert health_command._trusting("node.example", None).verify_mode == ssl.CERT_REQUIRED


async def test_single_sign_on_without_its_extra_names_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oidc = {
        "discovery_url": "https://id.example/.well-known/openid-configuration", "client_id": "node-1",
        "client_secret": "secret", "callback_url": "https://node.example/login/oidc/callback",
        "roles": {"duty": "operatr"},
    }  # fmt: skip
    made = config(tmp_path, access={"users": True, "oidc": oidc})
    with pytest.raises(CommandError, match="no role 'operatr'"):
        open_sign_on(made.access, SystemClock())
    monkeypatch.setitem(sys.modules, "api.access.oidc", None)
    monkeypatch.delattr(access, "oidc")
    with pytest.raises(CommandError, match=r"sharpeyes\[oidc\]"):
        open_sign_on(made.access, SystemClock())
    assert open_sign_on(config(tmp_path).access, SystemClock()) is None
    assert door.LOOK_S < 86_400


async def test_a_start_is_recorded_with_its_configuration(tmp_path: Path) -> None:
    always = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    made = config(tmp_path, access={"users": True})
    other = config(tmp_path, access={"users": True, "session_idle_s": 60})
    for one in (made, made, other):
        open_node_door(FakeNode(), one, "http://127.0.0.1:1/")
    first, second, third = [entry.act for _, entry in entries_between(tmp_path, *always)]
    assert first == second != third
    assert (first.who, first.what) == ("node:node-1", "node.start")


async def test_broken_accounts_and_a_broken_audit_log_do_not_blind_a_node(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = config(tmp_path, access={"users": True})
    open_node_door(FakeNode(), made, "http://127.0.0.1:1/")
    (tmp_path / "access" / "accounts.json").write_text("{")
    (tmp_path / "audit" / "log.jsonl").write_text("")
    capfd.readouterr()
    served = open_node_door(FakeNode(), made, "http://127.0.0.1:1/")
    told = "".join(capfd.readouterr())
    assert "nobody can sign in" in told
    assert "cut" in told
    transport = httpx.ASGITransport(served.server.config.app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.post("/login", json={"name": "li", "password": "x"})).status_code == 503
