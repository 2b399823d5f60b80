"""Finds the server that holds the events, and shows them as they arrive."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import typer

from api import running, terminal
from api.errors import USAGE, CommandError
from edge.broker import read_broker_url
from edge.envelope import Event, stream_key
from edge.errors import EventError
from edge.redis_link import RedisLink
from edge.tail import tail


@dataclass(frozen=True, slots=True)
class Server:
    """Where events are.

    Attributes:
        url: with credentials; never shown.
        district: names the stream.
    """

    url: str = field(repr=False)
    district: str


def find_server(redis: str | None, config: Path | None, district: str | None) -> Server:
    """The server that is meant: as told, as configured, or of the node that runs on this machine.

    Raises:
        CommandError: it is not clear which; says what to add.
        ConfigError: the configuration is wrong.
    """
    if district is not None and not re.fullmatch(r"[0-9]{6}", district):
        raise CommandError(f"--district must be six digits, got {district!r}", USAGE)
    if redis is not None:
        return Server(redis, district or "000000")
    if config is not None:
        return _configured(config, district)
    found = running.notices()
    if not found:
        raise CommandError("no node runs on this machine; name a server with --redis or a --config")
    newest = found[0]
    if newest.data_dir is None:
        raise CommandError(f"node {newest.node} sends to a server of its own: add --config or --redis", USAGE)
    return Server(_embedded(Path(newest.data_dir)), district or newest.district)


def _configured(path: Path, district: str | None) -> Server:
    from edge.load import load_config

    config = load_config(path)
    url = config.redis.url.get_secret_value() if config.redis.url else _embedded(config.node.data_dir)
    return Server(url, district or config.node.district)


def _embedded(data_dir: Path) -> str:
    url = read_broker_url(data_dir)
    if url is None:
        raise CommandError(f"no embedded server runs in {data_dir}; is the node running?")
    return url


def show(server: Server, *, last: int, follow: bool, as_json: bool) -> None:
    """Show the newest `last` events, and with `follow` each later one until interrupted."""
    asyncio.run(_show(server, last, follow, as_json))


async def _show(server: Server, last: int, follow: bool, as_json: bool) -> None:
    events = _following(server, last) if follow else _newest(server, last)
    async for event in events:
        if as_json:
            typer.echo(event.to_json())
        else:
            terminal.out.print(terminal.event_line(json.loads(event.to_json())))


async def _newest(server: Server, last: int) -> AsyncIterator[Event]:
    link = RedisLink(server.url)
    try:
        entries = await link.newest(stream_key(server.district), last) if last else []
    finally:
        await link.close()
    for entry in entries:
        with contextlib.suppress(EventError):
            yield Event.from_json(entry.body or b"")


async def _following(server: Server, last: int) -> AsyncIterator[Event]:
    def trouble(reason: str) -> None:
        terminal.warn(f"{reason}; trying again")

    async with contextlib.aclosing(
        tail(server.url, server.district, last=last, on_trouble=trouble)
    ) as events:
        async for event in events:
            yield event
