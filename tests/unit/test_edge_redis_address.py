"""Addresses of one server and of groups: what is accepted, what is told, and that no secret is."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import PublishError
from edge.redis_address import Group, Host, fault_of
from edge.redis_route import Route, host_of


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://user:pass@h:6380/2",
        "unix:///run/valkey.sock?db=1",
        "redis+sentinel://h1:26379,h2/district",
        "rediss+sentinel://user:pass@h1:26379,h2:26379/district/3",
        "redis+cluster://h1:7001,h2:7002",
        "rediss+cluster://:pass@[2001:db8::1]:7001/0?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_these_are_addresses(url: str) -> None:
    assert fault_of(url) == ""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis", "must begin with redis://"),
        ("redsi://h", "did you mean redis://?"),
        ("redis+sentinal://h/s", "did you mean redis+sentinel://?"),
        ("http://h", "must begin with"),
        ("redis://", "names no host"),
        ("redis://h:99999", "malformed"),
        ("redis://[::1", "malformed"),
        ("unix://", "names no socket"),
        ("redis+sentinel:///district", "names no host"),
        ("redis+sentinel://h1,h2", "names no service"),
        ("redis+sentinel://h1,h2/a b", "names no service"),
        ("redis+sentinel://h1,h2/district/x", "names no service"),
        ("redis+sentinel://h1:0/district", "malformed"),
        ("redis+sentinel://h1:65536/district", "malformed"),
        ("redis+sentinel://h1,,h2/district", "malformed"),
        ("redis+sentinel://us@er:pa@h1/district", "malformed"),
        ("redis+cluster://h1:7001/2", "names a database"),
        ("redis+cluster://user:pa/ss@h1", "malformed"),
        ("redis+cluster://h1:port", "malformed"),
    ],
)
def test_these_are_not_and_why(url: str, told: str) -> None:
    assert told in fault_of(url)
    if "+sentinel://" in url or "+cluster://" in url:
        with pytest.raises(PublishError, match=r"redis\.url"):
            Group.parse(url)


def test_one_server_is_no_group() -> None:
    assert Group.parse("redis://h") is None
    assert Group.parse("unix:///run/valkey.sock") is None


def test_sentinels() -> None:
    group = Group.parse("rediss+sentinel://user:p%40ss@h1:26380,[::1],h3/district/2?ssl_ca_certs=/etc/ca.pem")
    assert group is not None
    assert group.hosts == (Host("h1", 26380), Host("::1", 26379), Host("h3", 26379))
    assert (group.kind, group.service) == ("sentinel", "district")
    assert group.display == "rediss+sentinel://h1:26380,[::1]:26379,h3:26379/district/2"
    master = Host("10.0.0.7", 6379)
    assert group.url_of(master) == "rediss://user:p%40ss@10.0.0.7:6379/2?ssl_ca_certs=/etc/ca.pem"
    told = group.url_of_sentinel(group.hosts[1], introduced=False)
    assert told == "rediss://[::1]:26379?ssl_ca_certs=/etc/ca.pem"
    assert "user:p%40ss@" in group.url_of_sentinel(group.hosts[1], introduced=True)


def test_a_cluster() -> None:
    group = Group.parse("redis+cluster://h1,h2:7002/")
    assert group is not None
    assert group.hosts == (Host("h1", 6379), Host("h2", 7002))
    assert group.display == "redis+cluster://h1:6379,h2:7002"
    assert group.url_of(Host("h9", 7009)) == "redis://h9:7009/0"


secrets = st.text(string.ascii_letters + string.digits + "@/:?#%,[] ä", min_size=4)


@given(secret=secrets, scheme=st.sampled_from(["redis+sentinel", "rediss+sentinel", "redis+cluster"]))
def test_no_secret_is_told(secret: str, scheme: str) -> None:
    secret = f"hush{secret}"
    path = "/district" if "sentinel" in scheme else ""
    group = Group.parse(
        f"{scheme}://user:{quote(secret, safe='')}@h1:1,h2:2{path}?password={quote(secret, safe='')}"
    )
    assert group is not None
    assert "hush" not in f"{group} {group!r} {group.display}"
    # even where it is not escaped and so breaks the address
    assert "hush" not in fault_of(f"{scheme}://user:{secret}@h1:1,h2:2{path}")


# Which server next


def route() -> Route:
    group = Group.parse("redis+cluster://h1:1,h2:2,h3:3")
    assert group is not None
    return Route(group)


def test_the_owner_is_tried_first_and_what_is_lost_last() -> None:
    known = route()
    assert [host.port for host in known.nodes()] == [1, 2, 3]
    known.lost(Host("h1", 1))
    assert [host.port for host in known.nodes()] == [2, 3, 1]
    known.point("h9", 9, once=False)
    assert [host.port for host in known.nodes()] == [9, 2, 3, 1]
    known.point("h3", 3, once=False)
    assert [host.port for host in known.nodes()] == [3, 2, 1]
    known.lost(Host("h3", 3))
    assert [host.port for host in known.nodes()] == [2, 1, 3]


def test_who_takes_a_slot_over_is_asked_once() -> None:
    known = route()
    known.point("h9", 9, once=True)
    assert [host.port for host in known.nodes()] == [1, 2, 3]
    assert known.detour() == Host("h9", 9)
    assert known.detour() is None
    known.point("h9", 9, once=True)
    known.point("h2", 2, once=False)
    assert known.detour() is None


@pytest.mark.parametrize("name", ["", "?"])
def test_a_server_without_a_name_is_where_the_answer_came_from(name: str) -> None:
    known = route()
    known.now = Host("10.0.0.7", 1)
    known.point(name, 5, once=False)
    assert known.nodes()[0] == Host("10.0.0.7", 5)


@pytest.mark.parametrize(
    ("name", "port"), [("evil@h", 1), ("h/1", 1), ("", 1), ("h", 0), ("h", 70000), ("h h", 1)]
)
def test_an_address_that_is_none_is_refused(name: str, port: int) -> None:
    with pytest.raises(ValueError, match="no address"):
        host_of(name, port)


def test_an_address_in_brackets() -> None:
    assert str(host_of("[2001:db8::1]", 7)) == "[2001:db8::1]:7"
