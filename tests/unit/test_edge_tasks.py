"""A task that swallows a cancellation ends all the same."""

import asyncio

import pytest

from edge.tasks import cancel


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(1)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await cancel(task)
    assert lost == [1]
    assert task.cancelled()
    await cancel(task)


async def test_what_ended_it_otherwise_is_raised() -> None:
    async def broken() -> None:
        raise ZeroDivisionError("a defect")

    task = asyncio.create_task(broken())
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await cancel(task)

    async def fine() -> int:
        return 1

    done = asyncio.create_task(fine())
    await asyncio.sleep(0)
    await cancel(done)
