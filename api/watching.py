"""What somebody at the terminal sees of a running node: its address, its first picture, events, a summary."""

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from pathlib import Path

import structlog
from rich.text import Text

from api import terminal
from api.running import Notice, announced
from api.serve import RunningNode, Watch, serve
from edge.config import Config
from edge.status import CameraStatus, NodeStatus

log = structlog.get_logger(__name__)

STATUS_PERIOD_S = 10.0
DROPS = ("gated", "superseded", "expired")


def run_node(config: Config, for_s: float | None, show_events: bool) -> None:
    """Run a node to its end, then show what it came to."""
    from edge.runtime import Node

    outcome = asyncio.run(serve(config, Node.open, watcher(config, show_events), for_s))
    if outcome.status is not None and (show_events or for_s is not None):
        show_summary(outcome.status, outcome.events)


def watcher(config: Config, show_events: bool) -> Watch:
    """What runs beside the node: leaves word for `events tail`, shows or logs what happens."""

    async def watch(node: RunningNode, url: str) -> None:
        embedded = config.redis.url is None
        data_dir = str(config.node.data_dir.resolve()) if embedded else None
        notice = Notice(os.getpid(), config.node.id, config.node.district, data_dir, url)
        with announced(notice):
            _greet(node.status(), url, show_events)
            async with asyncio.TaskGroup() as group:
                group.create_task(_first_picture(node, show_events))
                if show_events:
                    group.create_task(_show_events(node))
                    group.create_task(_show_status(node))

    return watch


def _greet(status: NodeStatus, url: str, for_people: bool) -> None:
    if not for_people:
        log.info("status page", url=url, node=status.id, version=status.version)
        return
    terminal.out.print(
        Text.assemble(("Sharp Eyes ", "bold"), status.version, "  watches places, not people", style="cyan")
    )
    terminal.out.print(
        f"  cameras   {len(status.cameras)}: {', '.join(c.id for c in status.cameras)}", markup=False
    )
    terminal.out.print(f"  detector  {status.detector} on {status.provider}", markup=False)
    terminal.out.print(f"  events    {status.redis}   (see them there: sharpeyes events tail)", markup=False)
    terminal.out.print(Text.assemble("  page      ", (url, "bold underline"), "   Ctrl-C ends it"))


async def _first_picture(node: RunningNode, for_people: bool) -> None:
    while all(camera.frame_age_s is None for camera in node.status().cameras):  # noqa: ASYNC110 - no news, only snapshots
        await asyncio.sleep(0.05)
    after_s = round(process_age_s(), 2)
    if for_people:
        terminal.out.print(f"first picture analysed {after_s:.2f} s after the program's start")
    else:
        log.info("first picture analysed", after_s=after_s)


async def _show_events(node: RunningNode) -> None:
    async with contextlib.aclosing(node.board.subscribe("0")) as events:
        async for event in events:
            terminal.out.print(terminal.event_line(json.loads(event.to_json())))


async def _show_status(node: RunningNode) -> None:
    while True:
        await asyncio.sleep(STATUS_PERIOD_S)
        status = node.status()
        up = sum(camera.state == "up" for camera in status.cameras)
        fps = sum(camera.analysed_fps for camera in status.cameras)
        terminal.out.print(
            f"{status.uptime_s:.0f} s: {up} of {len(status.cameras)} cameras up, {fps:.1f} pictures analysed "
            f"a second, {status.events_published} events in Redis, {status.outbox_pending} waiting",
            style="dim",
        )


def process_age_s() -> float:
    """Seconds since this process began, its imports included; since this module's import where unknown."""
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began_s = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
    except (OSError, AttributeError, ValueError):
        return time.monotonic() - _IMPORTED_S


_IMPORTED_S = time.monotonic()


def show_summary(status: NodeStatus, events: Counter[str]) -> None:
    """Tables: pictures by camera with the drops by reason, events by type."""
    numbers = ("analysed", "per s", *DROPS, "reconnects")
    cameras = terminal.table(f"After {status.uptime_s:.1f} s", "camera", *numbers, right=numbers)
    for camera in status.cameras:
        cameras.add_row(*_camera_row(camera, status.uptime_s))
    terminal.out.print()
    terminal.out.print(cameras)
    kinds = terminal.table("Events", "type", "number", right=("number",))
    for type_, number in sorted(events.items()):
        kinds.add_row(terminal.short_type(type_), str(number))
    if not events:
        kinds.add_row("none", "0")
    terminal.out.print()
    terminal.out.print(kinds)
    terminal.out.print(f"{status.events_published} acknowledged by Redis, {status.outbox_pending} waiting")


def _camera_row(camera: CameraStatus, uptime_s: float) -> list[str]:
    analysed = camera.frames.get("delivered", 0)
    return [
        camera.id if camera.state == "up" else f"{camera.id} ({camera.state})",
        str(analysed),
        f"{analysed / uptime_s:.1f}" if uptime_s > 0 else "-",
        *(str(camera.frames.get(reason, 0)) for reason in DROPS),
        str(camera.reconnects),
    ]
