"""Commands as they travel: the same bytes as redis-py makes, in fewer steps."""

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import Connection

from edge.redis_wire import CHUNK, appends, command, joined

words = st.text(min_size=1) | st.integers() | st.binary()
entries = st.lists(st.dictionaries(st.binary(min_size=1), st.binary(max_size=9000), min_size=1, max_size=3))


def packed(*arguments: str | int | bytes) -> bytes:
    return b"".join(Connection().pack_command(*arguments))


@given(first=st.sampled_from(["PING", "HGET", "XREAD"]), rest=st.lists(words))
def test_a_command(first: str, rest: list[str | int | bytes]) -> None:
    assert command(first, *rest) == packed(first, *rest)


@given(entries=entries, key=st.text(min_size=1), most=st.integers(1, 10**7))
def test_appends_of_entries(entries: list[dict[bytes, bytes]], key: str, most: int) -> None:
    expected = [
        packed("XADD", key, "MAXLEN", "~", most, "*", *(x for pair in fields.items() for x in pair))
        for fields in entries
    ]
    assert appends(key, entries, most) == expected
    asking = command("ASKING")
    assert appends(key, entries, most, asking) == [asking + one for one in expected]


@given(pieces=st.lists(st.integers(0, 3 * CHUNK), max_size=8))
def test_joining_changes_no_byte(pieces: list[int]) -> None:
    commands = [bytes([k % 256]) * size for k, size in enumerate(pieces)]
    made = joined(commands)
    assert b"".join(made) == b"".join(commands)
    assert all(len(piece) >= CHUNK for piece in made[:-1])
