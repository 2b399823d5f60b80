"""Ending tasks for sure."""

import asyncio
from typing import Any

_AGAIN_S = 0.1


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended.

    Until Python 3.12 `asyncio.wait_for` loses a cancellation that comes in the moment in which what it waits
    for is done, and client libraries use it; so a task that goes on is cancelled again.

    Raises:
        Exception: what ended the task, if it was no cancellation.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_S)
    if not task.cancelled() and (exc := task.exception()) is not None:
        raise exc
