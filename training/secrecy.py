"""Keys of others at rest: unreadable without SECRET_KEY, and any change of them is noticed.

HMAC-SHA256 in counter mode, then HMAC-SHA256 over all of it (encrypt-then-MAC), each with a key of
its own derived from SECRET_KEY: docs/decisions/0017-chat-and-endpoints.md says why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterator

from django.conf import settings

VERSION = "v1."
NONCE_BYTES = 16
TAG_BYTES = 32


class SecretLost(Exception):
    """What was kept can't be read any more."""


def encrypt(text: str) -> str:
    """Return a text that only this installation can read."""
    key = str(settings.SECRET_KEY)
    nonce = secrets.token_bytes(NONCE_BYTES)
    hidden = _xored(text.encode(), key, nonce)
    return VERSION + base64.urlsafe_b64encode(nonce + hidden + _tag(key, nonce + hidden)).decode()


def decrypt(kept: str) -> str:
    """Return what was encrypted under SECRET_KEY, or under one of SECRET_KEY_FALLBACKS.

    Raise SecretLost where it was changed, or encrypted under another key.
    """
    try:
        raw = base64.urlsafe_b64decode(kept.removeprefix(VERSION))
    except (binascii.Error, ValueError):
        raise SecretLost from None
    body, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
    for key in map(str, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)):
        if len(body) >= NONCE_BYTES and hmac.compare_digest(tag, _tag(key, body)):
            return _xored(body[NONCE_BYTES:], key, body[:NONCE_BYTES]).decode()
    raise SecretLost


def _xored(data: bytes, key: str, nonce: bytes) -> bytes:
    stream = _stream(_derived(key, "encrypt"), nonce)
    return bytes(byte ^ next(stream) for byte in data)


def _stream(key: bytes, nonce: bytes) -> Iterator[int]:
    """Yield bytes that nobody without the key can tell from chance."""
    block = 0
    while True:
        yield from hmac.digest(key, nonce + block.to_bytes(8), hashlib.sha256)
        block += 1


def _tag(key: str, body: bytes) -> bytes:
    return hmac.digest(_derived(key, "authenticate"), VERSION.encode() + body, hashlib.sha256)


def _derived(key: str, use: str) -> bytes:
    return hmac.digest(key.encode(), f"training.secrecy {use}".encode(), hashlib.sha256)
