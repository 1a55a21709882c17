"""Which network addresses a channel may have: public ones only, however they are written or wrapped. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

URL_LIMIT = 8192
PORTS = frozenset({443, 8443})
"""Where a public channel may listen."""

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
_DENIED = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # a cloud's own services answer here, and it is a public number
    )
)  # fmt: skip
_DENIED6 = tuple(
    IPv6Network(one)
    for one in (
        "::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
        "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip


ALLOWING = "ONHAND_ALLOW_PRIVATE_CHANNELS=true allows it, for the hub and for commands"
"""What an operator can do about an address that is theirs on purpose."""


class Refused(Exception):
    """An address that nothing is sent to, and why, in words."""


class Origin(NamedTuple):
    """Where a URL leads: ``host`` in ASCII, ``target`` is path and query as they are asked for."""

    scheme: str
    host: str
    port: int
    target: str


def origin(url: str, *, private: bool = False) -> Origin:
    """The parts of an absolute URL. https on the usual ports, unless ``private``. Raises Refused."""
    if len(url) > URL_LIMIT or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("the address is too long or has blanks or odd characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("ascii" if ":" in (parts.hostname or "") else "idna").decode()
    except (ValueError, UnicodeError) as error:
        raise Refused("the address is malformed") from error
    if parts.scheme not in ("https", "http") or not host:
        raise Refused("the address is no https:// address")
    if parts.username is not None or parts.password is not None:
        raise Refused("an address must not hold a user or a password")
    if not private and parts.scheme != "https":
        raise Refused(f"plain http is refused ({ALLOWING})")
    wanted = port or (443 if parts.scheme == "https" else 80)
    if not private and wanted not in PORTS:
        raise Refused(f"port {wanted} is refused ({ALLOWING})")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme, host, wanted, target)


def public(text: str) -> bool:
    """Whether an IP address is a public one, with all that is wrapped in it."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_public(one) for one in _unwrapped(found))


def _unwrapped(found: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """An address, and the IPv4 addresses that packets to it may end at."""
    yield found
    if isinstance(found, IPv4Address):
        return
    if found.ipv4_mapped is not None:
        yield found.ipv4_mapped
    if found.sixtofour is not None:
        yield found.sixtofour
    if found.teredo is not None:
        yield from found.teredo
    if any(found in network for network in (*_NAT64, _COMPATIBLE)):
        yield IPv4Address(int(found) & 0xFFFFFFFF)


def _public(found: IPv4Address | IPv6Address) -> bool:
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _DENIED)
    if found.ipv4_mapped is not None or found in _NAT64[0]:
        return True  # judged by the address inside
    return not any(found in network for network in (*_DENIED6, _COMPATIBLE))
