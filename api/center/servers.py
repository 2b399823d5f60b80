"""Where Redis or Valkey is: the server that a URL names, or the one of a group that holds the stream."""

from typing import Any

import redis
from redis import exceptions as failures
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.center.entries import StreamAwayError, text
from edge.redis_address import Group, Host, fault_of

# Any: redis-py types replies by the protocol's version
_Reply = Any
_HOPS = 4


def url_fault(url: str) -> str:
    """What is wrong with a Redis URL, in words that quote nothing of it; empty where nothing is."""
    if fault := fault_of(url):
        return fault
    try:
        group = Group.parse(url)
        client_of(group.url_of(group.hosts[0]) if group else url, 1.0).close()
    except (ValueError, TypeError, AttributeError, failures.RedisError):
        return "has an option that is none, or one with a wrong value"
    return ""


def client_of(url: str, timeout_s: float) -> "redis.Redis":
    """A client that connects when it is used, and tries nothing twice."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # one owner decides when to try again: the worker's back-off
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )


def locate(group: Group, key: str, timeout_s: float) -> "redis.Redis":
    """The server of a group that holds a key.

    Raises:
        StreamAwayError: nobody knows.
    """
    for host in group.hosts:
        try:
            if group.kind == "sentinel":
                return client_of(group.url_of(_master(group, host, timeout_s)), timeout_s)
            return _owner(group, host, key, timeout_s)
        except (failures.RedisError, OSError, LookupError):
            continue
    what = f"no sentinel knows the master of {group.service}" if group.service else "no node holds the stream"
    raise StreamAwayError(f"{group.display}: {what}")


def _master(group: Group, sentinel: Host, timeout_s: float) -> Host:
    for introduced in (True, False):
        asked = client_of(group.url_of_sentinel(sentinel, introduced=introduced), timeout_s)
        try:
            found: _Reply = asked.sentinel_get_master_addr_by_name(group.service)
        except (failures.AuthenticationError, failures.ResponseError):
            # a sentinel may know other users than the servers do, or none
            if not introduced:
                raise
        else:
            if found is None:
                raise LookupError(group.service)
            return Host(text(found[0]), int(found[1]))
        finally:
            asked.close()
    raise LookupError(group.service)


def _owner(group: Group, host: Host, key: str, timeout_s: float) -> "redis.Redis":
    for _ in range(_HOPS):
        found = client_of(group.url_of(host), timeout_s)
        try:
            found.xlen(key)
        except failures.MovedError as exc:
            found.close()
            host = Host(exc.host or host.name, int(exc.port))
        except BaseException:
            found.close()
            raise
        else:
            return found
    raise LookupError(key)


def display(client: "redis.Redis") -> str:
    """Where a client leads, without credentials."""
    parts = client.connection_pool.connection_kwargs
    if "path" in parts:
        return f"unix://{parts['path']}"
    scheme = "rediss" if "SSL" in client.connection_pool.connection_class.__name__ else "redis"
    return f"{scheme}://{parts.get('host', 'localhost')}:{parts.get('port', 6379)}/{parts.get('db', 0)}"
