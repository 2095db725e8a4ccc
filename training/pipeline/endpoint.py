"""One question to an OpenAI-compatible server, and everything that can come back instead.

The server's name is resolved once; what is connected to is an address that may be connected to,
whatever the name resolves to a moment later. Redirects are not followed. No torch, no Django.
"""

from __future__ import annotations

import contextlib
import email.utils
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from training.pipeline.jobs import ExternalSource

LONGEST_ANSWER = 4 * 2**20
"""Bytes: many times what a model writes at once."""
LONGEST_EXCUSE = 200
"""Characters of a server's own explanation that are shown."""
LONGEST_WAIT_S = 120.0
"""What a server may ask for by Retry-After."""
TRANSLATED = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "2002::/16", "2001::/32"))
"""IPv6 addresses that stand for IPv4 ones, which may be private."""
Address = tuple[str, int]


class EndpointError(Exception):
    """There is no answer; the message is a sentence for the engineer."""

    def __init__(
        self, message: str, *, retry: bool = False, after_s: float = 0.0, for_all: bool = False
    ) -> None:
        super().__init__(message)
        self.retry = retry
        """Another try may succeed, at the soonest after `after_s` seconds."""
        self.after_s = after_s
        self.for_all = for_all
        """No other question will fare better."""


@dataclass(frozen=True)
class Answer:
    """What a server wrote."""

    text: str
    finish_reason: str
    model: str
    """What the server calls what answered."""
    tokens: int | None


def check_url(url: str, allowed: tuple[str, ...]) -> SplitResult:
    """Return the parts of a base URL. Raise EndpointError for one that may not be asked."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or re.search(r"[\s\\]", url):
        raise EndpointError(
            "The address must be like https://host/v1, with http or https before it.", for_all=True
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EndpointError(
            "The address may have no user, password, “?” or “#” in it. The key has a field of its "
            "own.",
            for_all=True,
        )
    if _as_address(host) and not _is_allowed(host, host, allowed):
        raise EndpointError(_private(host), for_all=True)
    return parts


class Line:
    """What a question goes over. Another thread may hang up."""

    def __init__(self) -> None:
        self.is_hung_up = False
        self._connection: _Pinned | _PinnedTLS | None = None

    def lies_on(self, connection: _Pinned | _PinnedTLS) -> None:
        self._connection = connection
        if self.is_hung_up:
            self.hang_up()

    def hang_up(self) -> None:
        self.is_hung_up = True
        if self._connection is not None:
            self._connection.hang_up()


def ask(
    source: ExternalSource, key: str, messages: list[dict[str, str]], sampling: dict[str, Any]
) -> Answer:
    """Return the server's answer to a conversation. Raise EndpointError, with what happened."""
    question = {"messages": messages, "stream": False, **sampling}
    with asked(source, key, question, Line()) as response:
        content = response.read(LONGEST_ANSWER + 1)
    return answer_of(source, response, content, key)


@contextlib.contextmanager
def asked(
    source: ExternalSource, key: str, question: dict[str, Any], line: Line
) -> Iterator[HTTPResponse]:
    """Yield the server's response to a question, to be read within its time.

    Whatever goes wrong meanwhile is raised as EndpointError.
    """
    parts = check_url(source.url, source.allowed)
    is_stream = question["stream"]
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream, application/json" if is_stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "labelstudio-llm",
        **({"Authorization": f"Bearer {key}"} if key else {}),
    }
    body = json.dumps({"model": source.model, **question})
    connection = _connection(source, parts)
    line.lies_on(connection)
    limit = _Limit(line, source.timeout_s)
    try:
        path = f"{parts.path.rstrip('/')}/chat/completions"
        connection.request("POST", path, body.encode(), headers)
        yield connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        raise EndpointError(
            f"The certificate of {parts.hostname} is not to be trusted ({error.verify_message}). "
            "Have it mended, or make its authority known to this machine (SSL_CERT_FILE).",
            for_all=True,
        ) from None
    except ssl.SSLError as error:
        raise EndpointError(
            f"No secure connection to {parts.hostname} ({error.reason or 'TLS failed'}). See "
            "whether the address begins with http:// instead.",
            for_all=True,
        ) from None
    except (OSError, HTTPException) as error:
        if limit.is_over or isinstance(error, TimeoutError):
            raise EndpointError(
                f"{source.name} did not answer within {source.timeout_s:g} seconds. See whether it "
                "is overloaded, or give it more time.",
                retry=True,
            ) from None
        raise EndpointError(
            f"The connection to {source.name} failed ({_what(error)}). See whether it runs.",
            retry=True,
        ) from None
    except EndpointError:  # what came may be a part
        if limit.is_over:
            raise _unfinished(source) from None
        raise
    finally:
        limit.lift()
        connection.close()
    if limit.is_over:  # what came by then may be a part
        raise _unfinished(source)


def _unfinished(source: ExternalSource) -> EndpointError:
    return EndpointError(
        f"{source.name} did not finish its answer within {source.timeout_s:g} seconds. Give it "
        "more time, or ask for fewer tokens.",
        retry=True,
    )


class _Limit:
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


class _Pinned(_HangsUp, HTTPConnection):
    """A connection to one of the addresses that were looked up and allowed."""

    addresses: list[Address]

    def connect(self) -> None:
        self.sock = self.line = _connected(self.addresses, self.timeout)
        self.check_line()


class _PinnedTLS(_HangsUp, HTTPSConnection):
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


def _connection(source: ExternalSource, parts: SplitResult) -> _Pinned | _PinnedTLS:
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = _addresses(host, port, source.allowed)
    connection: _Pinned | _PinnedTLS
    if parts.scheme == "https":
        connection = _PinnedTLS(host, port, timeout=source.timeout_s)
    else:
        connection = _Pinned(host, port, timeout=source.timeout_s)
    connection.addresses = addresses
    return connection


def _addresses(host: str, port: int, allowed: tuple[str, ...]) -> list[Address]:
    """Look the name up, once, and return the addresses that may be connected to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise EndpointError(
            f"The name {host} is not known here. Check the address, and the network of the worker.",
            retry=True,
        ) from None
    addresses = [str(info[4][0]) for info in found]
    usable = [address for address in addresses if _is_allowed(host, address, allowed)]
    if not usable:
        raise EndpointError(_private(host), for_all=True)
    return [(address, port) for address in usable]


def _is_allowed(host: str, address: str, allowed: tuple[str, ...]) -> bool:
    if "*" in allowed or host.lower() in allowed:
        return True
    ip = _as_address(address)
    if ip is None:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return _is_allowed(host, str(ip.ipv4_mapped), allowed)
        if any(ip in net for net in TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast


def _as_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _private(host: str) -> str:
    return (
        f"{host} lies in a private network, which this installation does not ask. Whoever runs it "
        "can allow that: ALLOWED_PRIVATE_ENDPOINTS."
    )


def answer_of(source: ExternalSource, response: HTTPResponse, content: bytes, key: str) -> Answer:
    """Return what a whole response says, or raise what it means."""
    status = response.status
    values = json_of(content)
    if status != 200:
        raise _refused(source, response, excuse_of(values, key))
    if len(content) > LONGEST_ANSWER:
        raise EndpointError(
            f"{source.name} sent more than {LONGEST_ANSWER // 2**20} MB. That is no completion; "
            "check the address."
        )
    if values is None:
        kind = re.sub(r"[^\w/.+-]", "", response.headers.get_content_type())[:40]
        raise EndpointError(
            f"{source.name} sent {kind}, which is no JSON. Check the address: it usually ends in "
            "/v1."
        )
    try:
        choice = values["choices"][0]
        text = choice["message"]["content"]
        reason = str(choice.get("finish_reason") or "")
        usage = values.get("usage") or {}
        tokens = usage.get("completion_tokens")
        model = str(values.get("model") or source.model)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise EndpointError(
            f"{source.name} sent JSON without choices[0].message.content. It does not speak the "
            "OpenAI chat protocol at this address."
        ) from None
    if text is not None and not isinstance(text, str):
        raise EndpointError(f"{source.name} sent a completion that is no text.")
    if text is None or not text.strip():
        raise empty(source)
    return Answer(text, reason[:20], model[:200], tokens if type(tokens) is int else None)


def empty(source: ExternalSource) -> EndpointError:
    return EndpointError(f"{source.name} sent an empty answer.")


def _refused(source: ExternalSource, response: HTTPResponse, excuse: str) -> EndpointError:
    status, name = response.status, source.name
    if 300 <= status < 400:
        return EndpointError(
            f"{name} sent a redirect ({status}), which is not followed. Enter the address that it "
            "leads to.",
            for_all=True,
        )
    if status in (401, 403):
        return EndpointError(
            f"{name} refused the key ({status}){excuse}. Enter another one.", for_all=True
        )
    if status == 404:
        return EndpointError(
            f"{name} knows no chat at this address, or no model “{source.model}” (404){excuse}. "
            "The address usually ends in /v1.",
            for_all=True,
        )
    if status in (408, 409, 425, 429) or status >= 500:
        return EndpointError(
            f"{name} is not able to answer now ({status}){excuse}. Try again later.",
            retry=True,
            after_s=_retry_after(response),
        )
    return EndpointError(f"{name} refused the request ({status}){excuse}.")


def _retry_after(response: HTTPResponse) -> float:
    """Return how many seconds the server asks to be left alone, from a number or a date."""
    value = (response.getheader("Retry-After") or "").strip()
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        seconds = email.utils.mktime_tz(date) - time.time() if date else 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else 0.0


def excuse_of(values: Any, key: str) -> str:
    """Return the server's own words, from where OpenAI-compatible servers put them."""
    error = values.get("error", values) if isinstance(values, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message.strip():
        return ""
    if key:
        message = message.replace(key, "…")
    words = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return f": “{words[:LONGEST_EXCUSE].rstrip('.')}”"


def json_of(content: bytes) -> Any:
    """Return the JSON that a server sent; None where it is none, or far too much."""
    try:
        return json.loads(content) if len(content) <= LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        return None


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
