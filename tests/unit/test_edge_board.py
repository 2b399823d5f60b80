import asyncio
from dataclasses import dataclass

from edge.board import EventBoard


@dataclass(frozen=True)
class Note:
    sequence: str

    def to_json(self) -> bytes:
        return self.sequence.encode()


def notes(*numbers: int) -> list[Note]:
    return [Note(f"{n:020d}") for n in numbers]


async def gather(board: EventBoard[Note], count: int, after: str | None = None) -> list[Note]:
    got: list[Note] = []
    async for event in board.subscribe(after):
        got.append(event)
        if len(got) == count:
            break
    return got


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_keeps_the_newest_oldest_first():
    board: EventBoard[Note] = EventBoard(asyncio.get_running_loop(), keep=3)
    board.post(notes(1, 2, 3, 4, 5))
    await settle()
    assert board.recent() == notes(3, 4, 5)
    assert board.recent(2) == notes(4, 5)
    assert board.recent(0) == []


async def test_a_returning_subscriber_first_gets_what_it_missed():
    board: EventBoard[Note] = EventBoard(asyncio.get_running_loop())
    board.post(notes(1, 2, 3))
    await settle()
    task = asyncio.create_task(gather(board, 3, after=f"{1:020d}"))
    await settle()
    board.post(notes(4))
    async with asyncio.timeout(5):
        assert await task == notes(2, 3, 4)


async def test_a_slow_subscriber_loses_only_its_own_and_is_counted():
    board: EventBoard[Note] = EventBoard(asyncio.get_running_loop(), queue=2)
    stream = board.subscribe()
    first = asyncio.create_task(anext(stream))
    await settle()
    board.post(notes(1, 2, 3, 4, 5))
    await settle()
    async with asyncio.timeout(5):
        assert await first == notes(1)[0]
    assert board.missed == 3
    assert board.recent() == notes(1, 2, 3, 4, 5)
    await stream.aclose()


async def test_closing_ends_every_subscription_even_a_full_one():
    board: EventBoard[Note] = EventBoard(asyncio.get_running_loop(), queue=1)
    task = asyncio.create_task(gather(board, 99))
    await settle()
    board.post(notes(1))
    await settle()
    board.close()
    async with asyncio.timeout(5):
        await task
    assert [event async for event in board.subscribe()] == []


def test_posting_after_the_loop_is_closed_harms_nobody():
    loop = asyncio.new_event_loop()
    board: EventBoard[Note] = EventBoard(loop)
    loop.close()
    board.post(notes(1))
