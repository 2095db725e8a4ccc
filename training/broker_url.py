"""The address of the broker, which Celery and redis-py write differently."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def address(broker_url: str) -> str:
    """Return the address of the broker as redis-py reads it, without what is for Celery alone.

    >>> address("redis+socket:///run/redis.sock?virtual_host=1")
    'unix:///run/redis.sock'
    >>> address("rediss://:secret@redis:6380/0?ssl_cert_reqs=CERT_REQUIRED")
    'rediss://:secret@redis:6380/0?ssl_cert_reqs=required'
    """
    parts = urlsplit(broker_url)
    if parts.scheme == "redis+socket":
        return f"unix://{parts.path}"
    asked = [(name, value) for name, value in parse_qsl(parts.query) if name.startswith("ssl_")]
    plain = [
        (name, value.lower().removeprefix("cert_") if name == "ssl_cert_reqs" else value)
        for name, value in asked
    ]
    return urlunsplit(parts._replace(query=urlencode(plain)))
