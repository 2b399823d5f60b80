"""Where cameras may be: an address that no camera has must not be asked, whoever wrote it."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str], Sequence[str]]
"""The addresses of a host name; raises OSError where there are none."""

NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host, by another name
        "169.254.169.254/32",  # where clouds tell a machine its keys
        "100.100.100.200/32",
        "fd00:ec2::254/128",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "ff00::/8",
    )
)
"""Where no camera is that answers."""


def resolve(host: str) -> list[str]:
    """The addresses of a host, by the system's resolver.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(one[4][0]).partition("%")[0] for one in found})


def barred(host: str, networks: Sequence[Network], resolver: Resolve = resolve) -> str | None:
    """An address of a host that is in none of the networks, or where no camera can be; None where all may.

    A name is looked up once more when it is opened: who rules its DNS can answer otherwise then. Such
    a one is held back by the node's firewall alone.

    Args:
        host: name or address.
        networks: where cameras may be; empty: everywhere but in `NEVER`.
        resolver: looks names up.

    Raises:
        OSError: the host has no address.
    """
    for text in resolver(host):
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        allowed = not networks or any(address in network for network in networks)
        if not allowed or any(address in network for network in NEVER):
            return str(address)
    return None
