"""`sharpeyes center`: what people type, and the one line they get where it cannot be."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.center.config import load_center
from api.center.keys import public_key
from api.center.opening import open_store
from api.cli import app
from tests.support.center_service import Producer, write_config

REDIS = "redis://127.0.0.1:9/0"
ME = ["--who", "李华", "--why", "test"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, REDIS)


def run(*args: str):
    return CliRunner().invoke(app, ["center", *args])


def test_keys_are_admitted_listed_and_revoked(config: Path, tmp_path: Path) -> None:
    node = Producer.make(tmp_path)
    assert run("admit", str(config), "gate-7", node.signer.public, *ME).exit_code == 0
    assert node.signer.key_id in run("keys", str(config)).output
    assert run("revoke", str(config), "gate-7", node.signer.key_id, *ME).exit_code == 0
    with open_store(load_center(config)) as store:
        (key,) = store.keys()
        assert (key.admitted_by, key.revoked_by) == ("李华", "李华")
        rows = store.history(0, 10)
        assert [row.action for row in rows] == ["admit", "revoke"]
    again = run("admit", str(config), "gate-7", node.signer.public, *ME)
    assert (again.exit_code, "revoked" in again.output) == (1, True)


@pytest.mark.parametrize("key", ["x", "0" * 63, "not base64 at all ............................."])
def test_what_is_no_key(config: Path, key: str) -> None:
    answer = run("admit", str(config), "gate-7", key, *ME)
    assert (answer.exit_code, answer.output.count("\n")) == (2, 1)
    assert "base64" in answer.output


def test_a_key_that_is_not_there(config: Path) -> None:
    answer = run("revoke", str(config), "gate-7", "0" * 16, *ME)
    assert (answer.exit_code, answer.output.count("\n")) == (1, 1)


def test_an_intact_history_and_a_changed_one(config: Path, tmp_path: Path) -> None:
    node = Producer.make(tmp_path)
    assert run("admit", str(config), "gate-7", node.signer.public, *ME).exit_code == 0
    answer = run("verify", str(config))
    assert (answer.exit_code, "intact: 1 rows" in answer.output) == (0, True)
    change_history(tmp_path / "data" / "center.db")
    answer = run("verify", str(config))
    assert (answer.exit_code, "row 1 of 1" in answer.output) == (1, True)


def change_history(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f'drop trigger "{name}"')
        connection.execute("update history set who = 'somebody else'")
    connection.close()


def test_what_is_missing_is_told_in_one_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("api.center.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    answer = run("verify", str(config))
    assert answer.exit_code == 2
    assert "pip install 'sharpeyes[center]'" in answer.output
    assert answer.output.count("\n") == 1


def test_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("redis: {url: 'redis://h'}\ncentre: {}\n")
    for args in (["verify", str(path)], [str(path)], ["run", str(path)]):
        answer = run(*args)
        assert answer.exit_code == 2
        assert "c.yaml:2: centre: unknown key; did you mean 'center'?" in answer.output


def test_open_to_the_network_needs_a_token(config: Path) -> None:
    answer = run(str(config), "--host", "0.0.0.0")  # noqa: S104
    assert (answer.exit_code, "http.token" in answer.output) == (2, True)


def test_a_taken_port(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = write_config(tmp_path, REDIS, http={"port": taken.getsockname()[1]})
        answer = run("--for", "1", str(path))
    assert (answer.exit_code, "is taken" in answer.output) == (1, True)


def test_a_database_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    answer = run("verify", str(write_config(tmp_path, REDIS)))
    assert (answer.exit_code, answer.output.count("\n")) == (1, 1)


def test_help(config: Path) -> None:
    answer = run("--help")
    assert answer.exit_code == 0
    assert all(word in answer.output for word in ("admit", "verify", "revoke", "CONFIG"))
    assert run().exit_code in (0, 2)
    assert "--for" in run("run", "--help").output


def test_keys_as_people_write_them() -> None:
    raw = bytes(range(32))
    import base64

    for text in (
        raw.hex(),
        raw.hex().upper(),
        f" {raw.hex()}\n",
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    ):
        assert public_key(text) == raw
    for text in ("", "g" * 64, "é" * 43, "A" * 44):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            public_key(text)
