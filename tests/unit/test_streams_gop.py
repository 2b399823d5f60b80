"""The buffer of undecoded packets is bounded, gives back what decodes, and loses none from its books."""

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.gop import GopBuffer
from streams.packet import Packet


def _packet(size: int = 10, *, keyframe: bool = False) -> Packet:
    return Packet(None, size, keyframe, av.Packet())


def test_it_gives_back_a_gop_in_its_order() -> None:
    buffer = GopBuffer()
    packets = [_packet(keyframe=True), _packet(), _packet()]
    for packet in packets:
        buffer.hold(packet)
    assert (len(buffer), buffer.size) == (3, 30)
    taken = buffer.take()
    assert all(a is b for a, b in zip(taken, packets, strict=True))
    assert (len(buffer), buffer.size, buffer.discarded) == (0, 0, 0)


def test_what_follows_the_taken_goes_on_from_there() -> None:
    buffer = GopBuffer()
    buffer.hold(_packet(keyframe=True))
    buffer.take()
    buffer.hold(_packet())
    assert buffer.decodable
    assert len(buffer.take()) == 1


def test_a_keyframe_begins_anew() -> None:
    buffer = GopBuffer()
    for packet in (_packet(keyframe=True), _packet(), _packet(keyframe=True)):
        buffer.hold(packet)
    assert (len(buffer), buffer.discarded) == (1, 2)


@pytest.mark.parametrize("bounds", [{"max_packets": 3}, {"max_bytes": 30}])
def test_a_full_buffer_waits_for_the_next_keyframe(bounds: dict[str, int]) -> None:
    buffer = GopBuffer(**bounds)
    for packet in (_packet(keyframe=True), *(_packet() for _ in range(4))):
        buffer.hold(packet)
    assert (len(buffer), buffer.overflows, buffer.discarded) == (0, 1, 5)
    assert not buffer.decodable
    buffer.hold(_packet(keyframe=True))
    assert buffer.decodable
    assert len(buffer) == 1


def test_before_the_first_keyframe_nothing_is_kept() -> None:
    buffer = GopBuffer()
    buffer.hold(_packet())
    assert (len(buffer), buffer.discarded) == (0, 1)


def test_a_keyframe_that_is_too_large_is_not_held() -> None:
    buffer = GopBuffer(max_bytes=100)
    buffer.hold(_packet(101, keyframe=True))
    assert (len(buffer), buffer.size, buffer.overflows) == (0, 0, 1)


STEPS = st.lists(
    st.tuples(st.sampled_from(["hold", "key", "take", "lose"]), st.integers(0, 60)), max_size=200
)


@given(STEPS)
def test_bounded_and_every_packet_accounted_for(steps: list[tuple[str, int]]) -> None:
    buffer = GopBuffer(max_packets=8, max_bytes=120)
    held = taken = 0
    for what, size in steps:
        if what == "take":
            taken += len(buffer.take())
        elif what == "lose":
            buffer.lose()
        else:
            buffer.hold(_packet(size, keyframe=what == "key"))
            held += 1
        assert len(buffer) <= 8
        assert 0 <= buffer.size <= 120
        assert held == taken + buffer.discarded + len(buffer)


@pytest.mark.parametrize("bounds", [{"max_packets": 0}, {"max_bytes": 0}])
def test_refused_bounds(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        GopBuffer(**bounds)
