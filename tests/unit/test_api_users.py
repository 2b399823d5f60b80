"""`sharpeyes users` and `sharpeyes audit`: what they change, what they record, what they never show."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.access import keeping
from api.access.accounts import Accounts
from api.access.passwords import quick
from api.cli import app
from edge.audit import AuditLog, verify_log
from edge.audit_chain import Act
from streams.clock import SystemClock

CONFIG = """
node: {id: xihu-07, data_dir: state}
access: {users: true, unit: Duty office}
cameras: [{id: gate, source: x.mp4}]
"""
PASSWORD = "correct horse battery staple"  # noqa: S105 - of nobody


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "Passwords", quick)
    monkeypatch.setattr(keeping, "command_user", lambda: "command:root")
    for name in ("SHARPEYES_DEBUG", "SHARPEYES_LOG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(CONFIG)
    return path


def invoke(*arguments: str | Path, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)


def add(config: Path, *more: str) -> Result:
    return invoke("users", "add", config, "li", *more, "--password-stdin", typed=f"{PASSWORD}\n")


def register(config: Path, *more: str) -> list[dict[str, str]]:
    result = invoke("audit", "export", config, *more)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_a_user_is_added_changed_and_removed(config: Path) -> None:
    result = add(
        config, "--role", "operator", "--scope", "gate-*", "--scope", "region:360103", "--role", "viewer"
    )
    assert result.exit_code == 0, result.output
    (user,) = Accounts(config.parent / "state").book().users
    assert user.grants == ("operator@gate-*,region:360103", "viewer@gate-*,region:360103")
    assert quick().check(PASSWORD, user.password)
    again = invoke("users", "password", config, "li", typed="another long password\nanother long password\n")
    assert again.exit_code == 0, again.output
    (changed,) = Accounts(config.parent / "state").book().users
    assert changed.stamp != user.stamp
    assert changed.grants == user.grants
    shown = invoke("users", "list", config).stdout
    assert "operator@gate-*,region:360103" in shown
    assert "argon2" not in shown
    assert invoke("users", "remove", config, "li").exit_code == 0
    assert Accounts(config.parent / "state").book().users == ()
    rows = register(config)
    assert [(row["what"], row["object"]) for row in rows] == [
        ("users.add", "li"), ("users.password", "li"), ("users.remove", "li"), ("audit.export", ""),
    ]  # fmt: skip
    assert {(row["who"], row["unit"]) for row in rows} == {("command:root", "Duty office")}


def test_a_token_is_shown_once_and_kept_as_a_hash(config: Path) -> None:
    result = invoke("users", "token", config, "prometheus", "--role", "node", "--days", "30")
    assert result.exit_code == 0
    secret = result.stdout.strip()
    kept = config.parent / "state" / "access" / "accounts.json"
    assert secret not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    book = Accounts(config.parent / "state").book()
    assert book.token(secret, SystemClock().utc()) == book.tokens[0]
    assert secret not in (config.parent / "state" / "audit" / "log.jsonl").read_text()
    assert "prometheus" in invoke("users", "list", config).stdout
    assert invoke("users", "token", config, "prometheus", "--role", "node").exit_code == 1
    assert invoke("users", "remove", config, "prometheus").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "typed", "words"),
    [
        (["add", "li"], PASSWORD, "say --role"),
        (["add", "li", "--role", "root"], PASSWORD, "no role 'root'"),
        (["add", "li", "--role", "viewer", "--scope", "../x"], PASSWORD, "no scope"),
        (["add", "li", "--role", "viewer"], "short", "12 to 128"),
        (["add", "a b", "--role", "viewer"], PASSWORD, "a name has"),
        (["password", "nobody"], PASSWORD, "no user 'nobody'"),
        (["remove", "nobody"], "", "no user or token 'nobody'"),
    ],
)
def test_what_will_not_do_is_told(config: Path, arguments: list[str], typed: str, words: str) -> None:
    command, *rest = arguments
    options = ["--password-stdin"] if command != "remove" else []
    result = invoke("users", command, config, *rest, *options, typed=f"{typed}\n")
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert PASSWORD not in result.output
    assert Accounts(config.parent / "state").book().users == ()


def test_the_first_admin_s_link_is_printed_again(config: Path) -> None:
    result = invoke("users", "setup", config)
    assert result.exit_code == 0
    assert "http://127.0.0.1:8080/set-up#" in result.output
    secret = result.output.split("#")[1].split()[0]
    assert secret not in (config.parent / "state" / "access" / "accounts.json").read_text()
    add(config, "--role", "admin")
    assert "an admin already" in invoke("users", "setup", config).output


def test_a_name_is_a_user_s_or_a_token_s(config: Path) -> None:
    assert invoke("users", "token", config, "li", "--role", "node").exit_code == 0
    assert "a token's name" in add(config, "--role", "viewer").output


def test_nothing_is_changed_that_cannot_be_recorded(config: Path) -> None:
    add(config, "--role", "viewer")
    (config.parent / "state" / "audit" / "log.jsonl").write_text("")
    result = add(config, "--role", "admin")
    assert result.exit_code == 1
    assert "cut" in result.output
    assert Accounts(config.parent / "state").book().users[0].grants == ("viewer",)


def test_verification_names_the_first_broken_entry(config: Path) -> None:
    add(config, "--role", "viewer")
    invoke("users", "remove", config, "li")
    whole = invoke("audit", "verify", config)
    assert whole.exit_code == 0
    head = whole.stdout.split()[-1]
    assert whole.stdout.startswith("2 entries, whole")
    assert invoke("audit", "verify", config, "--head", head).exit_code == 0
    assert invoke("audit", "verify", config, "--head", "2:" + "0" * 64).exit_code == 1
    assert invoke("audit", "verify", config, "--head", "9" + head).exit_code == 1
    assert invoke("audit", "verify", config, "--head", "junk").exit_code == 2
    log = config.parent / "state" / "audit" / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"users.add", b"users.adx"))
    broken = invoke("audit", "verify", config)
    assert broken.exit_code == 1
    assert "entry 1 was changed" in broken.output
    assert invoke("audit", "restart", config, "--why", "short").exit_code == 2
    assert invoke("audit", "restart", config, "--why", "the disk was restored").exit_code == 0
    assert verify_log(config.parent / "state").head.seq == 1


def test_the_register_has_what_the_decree_asks_for_and_no_formulas(config: Path) -> None:
    audit = AuditLog(config.parent / "state", SystemClock())
    audit.append(
        Act("li", "video.clip", "allowed", "gate-2", "=HYPERLINK(1)", "公安局", "operator", "192.0.2.4")
    )
    first = register(config)[0]
    assert (first["who"], first["unit"], first["object"], first["what"]) == (
        "li",
        "公安局",
        "gate-2",
        "video.clip",
    )
    assert first["why"] == "'=HYPERLINK(1)"
    lines = invoke("audit", "export", config, "--format", "jsonl").stdout.splitlines()
    assert json.loads(lines[0])["entry"]["why"] == "=HYPERLINK(1)"
    assert register(config, "--from", "2001-01-01", "--to", "2001-01-02") == []
    assert invoke("audit", "export", config, "--from", "2001-01-02", "--to", "2001-01-01").exit_code == 2


def test_without_users_the_commands_warn(config: Path) -> None:
    config.write_text(CONFIG.replace("users: true", "users: false"))
    assert "access.users is false" in invoke("users", "list", config).output
