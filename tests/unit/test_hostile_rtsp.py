"""Cameras that mean harm: whatever they answer, opening and reading end in time and tell no secret."""

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from streams.errors import StreamError
from streams.source import open_source
from streams.url import SourceUrl
from tests.support.hostile import OPTIONS, Script, bears, hostile

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)


def requests(connection: socket.socket) -> Iterator[tuple[str, str]]:
    """Method and CSeq of what the node asks."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = connection.recv(4096)
            if not more:
                return
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)cseq: *(\d+)", head)
        yield head.split(b" ", 1)[0].decode(), found[1].decode() if found else "1"


def reply(cseq: str, body: str = "", *more: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"RTSP/1.0 {status}", f"CSeq: {cseq}", *more]
    if body or length is not None:
        lines += [
            "Content-Type: application/sdp",
            f"Content-Length: {len(body) if length is None else length}",
        ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def polite(
    connection: socket.socket, at: str, hostile: Callable[[str], bytes], then: Script | None = None
) -> None:
    """A server that answers as it should, but for one request."""
    for method, cseq in requests(connection):
        if method == at:
            connection.sendall(hostile(cseq))
        elif method == "DESCRIBE":
            connection.sendall(reply(cseq, SDP))
        elif method == "SETUP":
            connection.sendall(
                reply(cseq, "", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1;timeout=60")
            )
        else:
            connection.sendall(
                reply(cseq, "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN", "Session: 1")
            )


def endless(piece: bytes) -> Script:
    def play(connection: socket.socket, stop: threading.Event) -> None:
        next(requests(connection))
        connection.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n")
        while not stop.is_set():
            connection.sendall(piece)

    return play


def drip(connection: socket.socket, stop: threading.Event) -> None:
    next(requests(connection))
    for letter in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: " + b"y" * 10_000:
        if stop.wait(0.05):
            return
        connection.sendall(bytes([letter]))


def at(method: str, hostile: Callable[[str], bytes]) -> Script:
    return lambda connection, _: polite(connection, method, hostile)


def playing(packets: Callable[[], bytes]) -> Script:
    """Answers as it should, and then sends what is no video."""

    def play(connection: socket.socket, stop: threading.Event) -> None:
        for method, cseq in requests(connection):
            if method == "PLAY":
                connection.sendall(reply(cseq, "", "Session: 1"))
                while not stop.is_set():
                    connection.sendall(packets())
                return
            if method == "DESCRIBE":
                connection.sendall(reply(cseq, SDP))
            elif method == "SETUP":
                connection.sendall(
                    reply(cseq, "", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1;timeout=60")
                )
            else:
                connection.sendall(reply(cseq, "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY"))

    return play


def rtp(payload: bytes, length: int | None = None) -> bytes:
    packet = b"\x80\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02" + payload
    return b"$\x00" + (len(packet) if length is None else length).to_bytes(2, "big") + packet


SCRIPTS: dict[str, Script] = {
    "endless headers": endless(b"X-Fill: " + b"a" * 1000 + b"\r\n"),
    "an endless line": endless(b"a" * 4096),
    "slow drip": drip,
    "silence": lambda connection, stop: (stop.wait(30), None)[1],
    "closes at once": lambda connection, stop: connection.close(),
    "rubbish": lambda connection, stop: connection.sendall(os.urandom(4096)),
    "giant SDP": at(
        "DESCRIBE", lambda n: reply(n, SDP + "a=x:" + "y" * 1000 + "\r\n" * 3 + "a=z\r\n" * 500_000)
    ),
    "length of 2 GiB": at("DESCRIBE", lambda n: reply(n, SDP, length=2**31 - 1)),
    "length below zero": at("DESCRIBE", lambda n: reply(n, SDP, length=-5)),
    "length is shorter": at("DESCRIBE", lambda n: reply(n, SDP, length=7)),
    "thousands of streams": at("DESCRIBE", lambda n: reply(n, SDP + SDP[SDP.index("m=") :] * 5000)),
    "no transport": at("SETUP", lambda n: reply(n, "", "Transport: ")),
    "strange ports": at(
        "SETUP",
        lambda n: reply(n, "", "Transport: RTP/AVP/TCP;interleaved=99999-100000;ssrc=zzzz", "Session: 1"),
    ),
    "401 again and again": at(
        "DESCRIBE", lambda n: reply(n, "", 'WWW-Authenticate: Digest realm="r", nonce="n"', status="401 No")
    ),
    "packets longer than said": playing(lambda: rtp(b"\x65" + b"\xaa" * 400, length=20)),
    "packets shorter than said": playing(lambda: rtp(b"\x7c", length=65_000)),
    "fragments that never end": playing(lambda: rtp(b"\x7c\x85" + b"\xaa" * 1200)),
    "random bytes": playing(lambda: os.urandom(2000)),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_hostile_camera_harms_nobody(name: str) -> None:
    bears(SCRIPTS[name], "rtsp")


def test_a_redirect_to_another_server_takes_no_password_along() -> None:
    asked: list[bytes] = []

    def inside(connection: socket.socket, _: threading.Event) -> None:
        asked.append(connection.recv(4096))

    with hostile(inside) as target:
        there = f"Location: rtsp://127.0.0.1:{target}/admin"
        away = at("DESCRIBE", lambda n: reply(n, "", there, status="302 Moved"))
        with hostile(away) as port, pytest.raises(StreamError) as caught:
            open_source(SourceUrl.parse(f"rtsp://operator:swordfish@127.0.0.1:{port}/live"), OPTIONS)
    assert "swordfish" not in str(caught.value)
    assert not [one for one in asked if b"swordfish" in one or b"Authorization" in one]
    assert len(asked) <= 2
