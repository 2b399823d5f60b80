"""Which addresses are asked for pictures, and which never."""

import http.server
import ipaddress
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import OpenError
from streams.reach import NEVER, barred, resolve
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl

TEN = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("host", "networks", "expected"),
    [
        ("10.1.2.3", (), None),
        ("10.1.2.3", TEN, None),
        ("192.168.1.1", TEN, "192.168.1.1"),
        ("127.0.0.1", (), None),
        ("127.0.0.1", TEN, "127.0.0.1"),
        ("169.254.169.254", (), "169.254.169.254"),
        ("169.254.169.254", (ipaddress.ip_network("169.254.0.0/16"),), "169.254.169.254"),
        ("169.254.7.7", (), None),
        ("0.0.0.0", (), "0.0.0.0"),  # noqa: S104
        ("::ffff:169.254.169.254", (), "169.254.169.254"),
        ("::ffff:10.0.0.1", TEN, None),
        ("fd00:ec2::254", TEN, "fd00:ec2::254"),
        ("fd00::1", TEN, None),
        ("239.1.1.1", (), "239.1.1.1"),
    ],
)
def test_where_cameras_may_be(host: str, networks: tuple, expected: str | None) -> None:
    assert barred(host, networks) == expected


def test_every_address_of_a_name_must_be_allowed() -> None:
    assert barred("cam.example", TEN, lambda _: ["10.0.0.1", "192.0.2.1"]) == "192.0.2.1"
    assert barred("cam.example", TEN, lambda _: ["10.0.0.1", "fd00::5"]) is None


@given(st.ip_addresses())
def test_what_is_never_asked_is_not_asked_whatever_is_allowed(address: ipaddress.IPv4Address) -> None:
    everywhere = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    found = barred(str(address), everywhere, lambda host: [host])
    plain = getattr(address, "ipv4_mapped", None) or address
    assert (found is not None) == any(plain in network for network in NEVER)


def test_other_ways_to_write_an_address_are_seen_through() -> None:
    assert resolve("2130706433") == ["127.0.0.1"]
    assert barred("0xA9FEA9FE", ()) == "169.254.169.254"


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_barred_camera_is_refused_before_anything_is_sent(scheme: str) -> None:
    url = SourceUrl.parse(f"{scheme}://user:secret@127.0.0.1:1/live")
    with pytest.raises(OpenError, match=r"127\.0\.0\.1 is not where a camera may be") as caught:
        open_source(url, SourceOptions(networks=TEN))
    assert "secret" not in str(caught.value)


def test_a_camera_that_points_elsewhere_is_not_followed() -> None:
    asked: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/inside")  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(OpenError, match="points elsewhere"):
            open_source(SourceUrl.parse(f"http://127.0.0.1:{server.server_port}/camera"), SourceOptions())
        server.shutdown()
        thread.join()
    assert asked == ["/camera"]
