"""Simulated cameras from the command line."""

import os
import signal
from collections.abc import Callable, Iterable

import pytest

from api import simulation
from streams.errors import StreamError
from streams.packet import Packet
from streams.sim.spec import SceneSpec, parse_address


@pytest.mark.parametrize("seconds", [None, 12.0])
def test_the_address_says_all_of_the_scene(seconds: float | None) -> None:
    spec = SceneSpec(
        "line", "gate", 7, (640, 360), 12.5, seconds, weather="rain@2-9", fault="freeze:clock@3-5,dark@6"
    )
    address = parse_address(simulation.address(spec))
    assert address.spec == spec
    assert address.loop is (seconds is not None)


def on_air(end: Callable[[], None]) -> Callable[..., None]:
    """A server that plays three packets and then comes to `end`."""

    def serve(packets: Iterable[Packet], port: int, *, mount: str, announce: Callable[[str], None]) -> None:
        announce(f"rtsp://127.0.0.1:{port}/{mount}")
        for count, packet in enumerate(packets):
            assert packet.size > 0
            if count == 2:
                end()

    return serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_ends_with_a_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(simulation, "serve", on_air(lambda: os.kill(os.getpid(), number)))
    simulation.stream(SceneSpec("walk", size=(160, 96), fps=25.0, people=0), 8554)
    assert "rtsp://127.0.0.1:8554/plaza   Ctrl-C ends it" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_server_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StreamError("the port is taken")

    monkeypatch.setattr(simulation, "serve", on_air(fail))
    with pytest.raises(StreamError, match="the port is taken"):
        simulation.stream(SceneSpec("walk", size=(160, 96), fps=25.0, people=0), 8554)
