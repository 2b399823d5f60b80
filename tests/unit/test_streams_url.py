"""Addresses are checked, and their credentials never show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SourceUrlError
from streams.url import SourceUrl


@pytest.mark.parametrize(
    ("text", "scheme", "display"),
    [
        ("rtsp://10.0.0.1:554/live", "rtsp", "rtsp://10.0.0.1:554/live"),
        ("RTSP://10.0.0.1/live", "rtsp", "RTSP://10.0.0.1/live"),
        ("rtsps://u:p@cam.local/live", "rtsps", "rtsps://***@cam.local/live"),
        ("http://u@cam/mjpg?password=abc&ch=1", "http", "http://***@cam/mjpg?password=***&ch=1"),
        ("https://cam/mjpg?access_token=abc;x=1", "https", "https://cam/mjpg?access_token=***;x=1"),
        ("rtsp://[fe80::1]:554/a", "rtsp", "rtsp://[fe80::1]:554/a"),
        (
            "rtsp://cam/user=admin_password=tlJw_channel=1_stream=0.sdp",
            "rtsp",
            "rtsp://cam/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("sim://plaza?seed=3&seconds=60", "sim", "sim://plaza?seed=3&seconds=60"),
        ("clips/plaza 1.mp4", "file", "clips/plaza 1.mp4"),
        ("concat:a|b", "file", "concat:a|b"),
    ],
)
def test_known_addresses(text: str, scheme: str, display: str) -> None:
    url = SourceUrl.parse(text)
    assert (url.scheme, url.display, url.full) == (scheme, display, text)
    assert str(url) == display
    assert repr(url) == f"SourceUrl({display!r})"
    assert url.live == (scheme in ("rtsp", "rtsps", "http", "https"))


def test_a_file_url_becomes_its_path() -> None:
    assert SourceUrl.parse("file:///srv/clips/a%20b.mp4").full == "/srv/clips/a b.mp4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("ftp://u:secret@h/x", "scheme 'ftp' is not one of rtsp"),
        ("pipe://0", "scheme 'pipe'"),
        ("rtsp://", "names no host"),
        ("rtsp://u:secret@/live", "names no host"),
        ("rtsp://u:secret@h:99999/live", "malformed"),
        ("rtsp://u:sec/ret@h/live", "%2F"),
        ("rtsp://h:0/live", "port must be 1 to 65535"),
        ("rtsp://u:secret@h/li ve", "%20"),
        ("rtsp://u:secret@h/live\r\nX: y", "control character"),
        ("file://other/secretless.mp4", "another host"),
        ("file://", "not a path"),
        ("a\x00b", "not a path"),
        ("rtsp://u:secret@" + "h" * 5000, "longer than"),
    ],
)
def test_refused_addresses(text: str, says: str) -> None:
    with pytest.raises(SourceUrlError, match=says) as caught:
        SourceUrl.parse(text)
    assert "u:sec" not in str(caught.value)
    assert "ret@" not in str(caught.value)


def test_an_unescaped_slash_in_a_password_does_not_show_it() -> None:
    """`12/secret` reads as port 12 and a path: too much is masked rather than too little."""
    assert "secret" not in SourceUrl.parse("rtsp://admin:12/secret@cam/live").display


_passwords = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#[]@%:"), min_size=4
).filter(lambda text: text not in "rtsp://***@camera.example/live")


@given(_passwords, st.sampled_from(["rtsp", "rtsps", "http", "https"]))
def test_a_password_never_shows(password: str, scheme: str) -> None:
    secret = f"{scheme}://operator:{password}@camera.example/live"
    url = SourceUrl.parse(secret)
    foreign = f"Connection to {secret} failed: {password!s} refused"
    for shown in (str(url), repr(url), f"{url}", url.display, url.scrub(foreign), str([url])):
        assert f":{password}@" not in shown
    assert url.scrub(f"refused {password}") == "refused ***"


def test_scrub_leaves_other_text_alone() -> None:
    url = SourceUrl.parse("rtsp://u:p%40ss@cam/live")
    assert url.scrub("decoder broke") == "decoder broke"
    assert url.scrub("tried rtsp://x:y@other/") == "tried rtsp://***@other/"
    assert url.scrub("p@ss and p%40ss") == "*** and ***"


def test_urls_compare_and_hash_by_address() -> None:
    assert SourceUrl.parse("rtsp://a:b@h/") == SourceUrl.parse("rtsp://a:b@h/")
    assert len({SourceUrl.parse("rtsp://a:b@h/"), SourceUrl.parse("rtsp://a:c@h/")}) == 2
