"""Connections to servers elsewhere whose addresses people entered.

A name is resolved once; what is connected to is an address that may be connected to, whatever the
name resolves to a moment later. Redirects are not followed. No torch, no Django.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

TRANSLATED = tuple(
    ipaddress.ip_network(net)
    for net in (
        *("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96"),
        "fec0::/10",
    )
)
"""IPv6 addresses that stand for IPv4 ones, which may be private; and those of a site, as once."""
OF_CLOUDS = tuple(ipaddress.ip_network(net) for net in ("192.0.0.0/24", "168.63.129.16/32"))
"""IPv4 addresses that look public, and by which machines of a cloud are told their secrets."""
Address = tuple[str, int]


class OutwardError(Exception):
    """A server may not or can't be connected to; the message is a sentence for a person."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry
        """Another try may succeed."""


@dataclass(frozen=True)
class Guard:
    """Which servers may be connected to: public ones, and the hosts that a setting names."""

    allowed: tuple[str, ...]
    """`*` allows all."""
    setting: str
    """Its name, for whoever runs this installation."""

    def check_url(self, url: str) -> SplitResult:
        """Return the parts of an address. Raise OutwardError for one that may not be asked."""
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or re.search(r"[\s\\]", url):
            raise OutwardError(
                "The address must be like https://host/v1, with http or https before it."
            )
        if not url.isascii():
            raise OutwardError(
                "The address may have ASCII characters only. Write it percent-encoded."
            )
        if parts.username or parts.password or parts.fragment:
            raise OutwardError("The address may have no user, password or “#” in it.")
        if _as_address(host) and not self._allows(host, host):
            raise OutwardError(self._private(host))
        return parts

    def connection(self, parts: SplitResult, timeout_s: float) -> Pinned | PinnedTLS:
        """Look the name up, once, and return a connection to what it leads to."""
        host = str(parts.hostname)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        kind = PinnedTLS if parts.scheme == "https" else Pinned
        addresses = self._addresses(host, port)
        connection: Pinned | PinnedTLS = kind(host, port, timeout=timeout_s)
        connection.addresses = addresses
        return connection

    def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise OutwardError(
                f"The name {host} is not known here. Check the address, and the network of the "
                "worker.",
                retry=True,
            ) from None
        addresses = [str(info[4][0]) for info in found]
        usable = [address for address in addresses if self._allows(host, address)]
        if not usable:
            raise OutwardError(self._private(host))
        return [(address, port) for address in usable]

    def _allows(self, host: str, address: str) -> bool:
        if "*" in self.allowed or host.lower() in self.allowed:
            return True
        ip = _as_address(address)
        if ip is None:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            return self._allows(host, str(ip.ipv4_mapped))
        if any(ip in net for net in (*TRANSLATED, *OF_CLOUDS)):
            return False
        return ip.is_global and not ip.is_multicast

    def _private(self, host: str) -> str:
        return (
            f"{host} lies in a private network, which this installation does not ask. Whoever runs "
            f"it can allow that: {self.setting}."
        )


def _as_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


class Line:
    """What a question goes over. Another thread may hang up."""

    def __init__(self) -> None:
        self.is_hung_up = False
        self._connection: Pinned | PinnedTLS | None = None

    def lies_on(self, connection: Pinned | PinnedTLS) -> None:
        self._connection = connection
        if self.is_hung_up:
            self.hang_up()

    def hang_up(self) -> None:
        self.is_hung_up = True
        if self._connection is not None:
            self._connection.hang_up()


class Limit:
    """Hangs up when the time is over: a server may send a byte a minute."""

    def __init__(self, line: Line, seconds: float) -> None:
        self.line = line
        self.is_over = False
        self.timer = threading.Timer(seconds, self._hang_up)
        self.timer.daemon = True
        self.timer.start()

    def _hang_up(self) -> None:
        self.is_over = True
        self.line.hang_up()

    def lift(self) -> None:
        self.timer.cancel()


class _HangsUp:
    """What both kinds of connection have in common."""

    line: socket.socket | None = None
    """What it goes over; `sock` is let go of when the server has announced the end."""
    is_hung_up = False

    def hang_up(self) -> None:
        self.is_hung_up = True
        if self.line is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                self.line.shutdown(socket.SHUT_RDWR)

    def check_line(self) -> None:
        """Go no further where somebody hung up while the line was made."""
        if self.is_hung_up:
            raise TimeoutError


class Pinned(_HangsUp, HTTPConnection):
    """A connection to one of the addresses that were looked up and allowed."""

    addresses: list[Address]

    def connect(self) -> None:
        self.sock = self.line = _connected(self.addresses, self.timeout)
        self.check_line()


class PinnedTLS(_HangsUp, HTTPSConnection):
    """The same with TLS, whose certificate must be that of the name."""

    addresses: list[Address]

    def connect(self) -> None:
        plain = _connected(self.addresses, self.timeout)
        secure = ssl.create_default_context().wrap_socket(
            plain, server_hostname=self.host, do_handshake_on_connect=False
        )
        self.sock = self.line = secure
        self.check_line()
        secure.do_handshake()


def _connected(addresses: list[Address], timeout: float | None) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection(address, timeout)
        except OSError:
            continue  # a name may have addresses that this machine has no way to
    return socket.create_connection(addresses[-1], timeout)
