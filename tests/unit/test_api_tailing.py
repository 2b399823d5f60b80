"""Finding the server with the events, and showing them, against a real Valkey server."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import running, tailing
from api.errors import CommandError
from api.running import Notice, announced
from api.tailing import Server, find_server
from edge.broker import EmbeddedBroker, read_broker_url
from edge.envelope import stream_key
from edge.redis_link import RedisLink
from tests.support.api_node import make_events


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("node"), port=0) as started:
        asyncio.run(fill(started.url))
        yield started


async def fill(url: str) -> None:
    link = RedisLink(url)
    bodies = [*(event.to_json() for event in make_events(5)), b'{"no":"event"}']
    await link.append(stream_key("360103"), [{b"ce": body} for body in bodies], 1000)
    await link.close()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No other node of this machine is seen."""
    monkeypatch.setattr(running, "SERVICE", tmp_path / "service")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return tmp_path


def data_dir(broker: EmbeddedBroker) -> Path:
    return broker._data_dir


def test_the_running_nodes_own_server_is_found(broker: EmbeddedBroker) -> None:
    with announced(Notice(os.getpid(), "demo", "360103", str(data_dir(broker)), "http://127.0.0.1/")):
        assert find_server(None, None, None) == Server(broker.url, "360103")
        assert find_server(None, None, "110000").district == "110000"


def test_nothing_runs_here() -> None:
    with pytest.raises(CommandError, match=r"no node runs on this machine.*--redis"):
        find_server(None, None, None)


def test_a_node_with_a_server_of_its_own_does_not_tell_its_password() -> None:
    with (
        announced(Notice(os.getpid(), "demo", "360103", None, "http://127.0.0.1/")),
        pytest.raises(CommandError, match="node demo sends to a server of its own"),
    ):
        find_server(None, None, None)


def test_an_ended_server_is_told(tmp_path: Path) -> None:
    with (
        announced(Notice(os.getpid(), "demo", "360103", str(tmp_path / "gone"), "http://127.0.0.1/")),
        pytest.raises(CommandError, match="is the node running"),
    ):
        find_server(None, None, None)


def test_told_and_configured_servers(tmp_path: Path, broker: EmbeddedBroker) -> None:
    assert find_server("redis://h", None, None) == Server("redis://h", "000000")
    config = tmp_path / "node.yaml"
    config.write_text(
        'node: {district: "360103"}\nredis: {url: "redis://c"}\ncameras: [{id: a, source: "sim://plaza"}]\n'
    )
    assert find_server(None, config, None) == Server("redis://c", "360103")
    config.write_text(
        f"node: {{data_dir: {data_dir(broker)}}}\ncameras: [{{id: a, source: 'sim://plaza'}}]\n"
    )
    assert find_server(None, config, None).url == read_broker_url(data_dir(broker))


def test_a_district_has_six_digits() -> None:
    with pytest.raises(CommandError, match="six digits"):
        find_server("redis://h", None, "36")


def test_a_server_keeps_its_password_out_of_its_text() -> None:
    assert "secret" not in repr(Server("redis://:secret@h", "000000"))


@pytest.mark.parametrize(("last", "numbers"), [(0, []), (3, [4, 5]), (50, [1, 2, 3, 4, 5])])
def test_the_newest_as_json(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str], last: int, numbers: list[int]
) -> None:
    tailing.show(Server(broker.url, "360103"), last=last, follow=False, as_json=True)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [int(event["sequence"]) for event in events] == numbers


def test_followed_as_they_come(broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]) -> None:
    async def follow() -> None:
        showing = asyncio.create_task(tailing._show(Server(broker.url, "360104"), 5, True, False))
        link = RedisLink(broker.url)
        try:
            async with asyncio.timeout(20):
                text = ""
                for event in make_events(3):
                    await link.append(stream_key("360104"), [{b"ce": event.to_json()}], 1000)
                    while text.count("node.heartbeat") < int(event.sequence):
                        await asyncio.sleep(0.01)
                        text += capsys.readouterr().out
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
            await link.close()

    asyncio.run(follow())


def test_a_server_that_does_not_answer_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    async def follow() -> None:
        showing = asyncio.create_task(
            tailing._show(Server("redis://u:secret@127.0.0.1:1", "000000"), 5, True, False)
        )
        text = ""
        async with asyncio.timeout(20):
            while text.count("trying again") < 2:
                await asyncio.sleep(0.01)
                text += capsys.readouterr().err
        assert "secret" not in text
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)

    asyncio.run(follow())
