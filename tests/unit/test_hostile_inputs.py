"""What strangers send besides RTSP: moving JPEG that is none, picture bombs, guesses at tokens."""

import os
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.access import accounts
from api.access.accounts import Accounts, new_machine
from streams.decode import MAX_PIXELS, Decoder
from streams.errors import StreamError
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.hostile import Script, bears

OK = b"HTTP/1.1 200 OK\r\n"
MULTIPART = b"Content-Type: multipart/x-mixed-replace"
HEAD = OK + MULTIPART + b"; boundary=b\r\n\r\n"
PART = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


LINK_S = 0.005
"""Between two pieces of 64 KiB: a link of 100 Mbit/s. What comes in before the time-out is held, so that
one of 1 Gbit/s can make a node take 0.6 GB for five seconds."""


def answering(first: bytes, then: Callable[[], bytes] | None = None) -> Script:
    """An HTTP camera that begins so, and goes on so for ever or leaves."""

    def play(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(first)
        while then is not None and not stop.wait(LINK_S):
            connection.sendall(then())
        connection.shutdown(socket.SHUT_WR)

    return play


FILL = b"X-Fill: " + b"a" * 900 + b"\r\n"
SCRIPTS: dict[str, Script] = {
    "headers without end": answering(OK, lambda: FILL),
    "no boundary": answering(OK + MULTIPART + b"\r\n\r\n" + b"a" * 5000),
    "part headers without end": answering(HEAD + b"--b\r\n", lambda: FILL),
    "a part of 2 GiB": answering(HEAD + PART % (2**31 - 1), lambda: bytes(65_536)),
    "a part below zero": answering(HEAD + PART % -9 + b"\xff\xd8"),
    "parts that are no JPEG": answering(HEAD, lambda: PART % 64 + os.urandom(64) + b"\r\n"),
    "chunks that lie": answering(
        OK + b"Transfer-Encoding: chunked\r\n" + MULTIPART + b";boundary=b\r\n\r\nffffffffffffffff\r\n--b\r\n"
    ),
    "compressed without end": answering(
        OK + b"Content-Encoding: gzip\r\nContent-Type: video/mp2t\r\n\r\n",
        lambda: zlib.compress(bytes(10**7)),
    ),
    "silence": lambda connection, stop: (stop.wait(30), None)[1],
}
LINES = (b"--b\r\n", b"Content-Type: image/jpeg\r\n", b"Content-Length: 5\r\n", b"\r\n")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_hostile_http_camera_harms_nobody(name: str) -> None:
    bears(SCRIPTS[name], "http")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(st.sampled_from(LINES) | st.binary(max_size=40), max_size=20))
def test_no_multipart_breaks_the_node(parts: list[bytes]) -> None:
    bears(answering(HEAD + b"".join(parts)), "http")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG's first bytes, which announce a size; what follows would fill it."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">H", len(frame) + 2)
        + frame
        + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    )


def test_a_picture_bomb_in_moving_jpeg_is_not_decoded(tmp_path: Path) -> None:
    bomb = jpeg_of(65_500, 65_500)
    assert MAX_PIXELS < 65_500**2
    path = tmp_path / "bomb.mjpeg"
    path.write_bytes(bomb * 20)
    try:
        source = open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))
    except StreamError:
        return
    decoder, shown = Decoder(source.info), 0
    try:
        for packet in source.packets():
            shown += len(decoder.decode(packet))
    except StreamError:
        pass
    assert shown == 0


@pytest.mark.parametrize(
    "guess", ["", "se_", "x" * 5000, "right but for the end", "right but for the beginning"]
)
def test_a_wrong_token_is_compared_like_a_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guess: str
) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    book = Accounts(tmp_path)
    right, kept = new_machine("one", ("viewer",), now + timedelta(hours=1))
    for made in (kept, new_machine("two", ("viewer",), now + timedelta(hours=1))[1]):
        book.change(lambda old, made=made: old.with_token(made))
    guess = {
        "another end": right[:-1] + ("0" if right[-1] != "0" else "1"),
        "another beginning": "x" + right[1:],
    }.get(guess, guess)
    real, compared = accounts.same, []

    def noted(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(accounts, "same", noted)
    assert book.book().token(right, now) is not None
    likewise, compared = compared, []
    assert book.book().token(guess, now) is None
    assert compared == likewise == [(64, 64)] * 2
