"""Secrets at rest: unreadable without SECRET_KEY, and any change of them is noticed."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac


class SecretLost(Exception):
    """What was kept can't be read any more."""


def encrypt(text: str, *, use: str) -> str:
    """Return a text that only this installation can read, for this use alone."""
    return _cipher(use).encrypt(text.encode()).decode()


def decrypt(kept: str, *, use: str) -> str:
    """Return what was encrypted under SECRET_KEY, or under one of SECRET_KEY_FALLBACKS.

    Raise SecretLost where it was changed, or encrypted under another key or for another use.
    """
    try:
        return _cipher(use).decrypt(kept.encode()).decode()
    except InvalidToken:
        raise SecretLost from None


def renew(kept: str, *, use: str) -> str:
    """Return what was encrypted under any of the keys, encrypted under SECRET_KEY.

    Raise SecretLost where none of them reads it.
    """
    try:
        return _cipher(use).rotate(kept.encode()).decode()
    except InvalidToken:
        raise SecretLost from None


def keys_in_force() -> tuple[str, ...]:
    """Return SECRET_KEY and those before it that still count, the newest first."""
    return (str(settings.SECRET_KEY), *map(str, settings.SECRET_KEY_FALLBACKS))


def _cipher(use: str) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key, use)) for key in keys_in_force()])


def _derived(key: str, use: str) -> bytes:
    """Return a key for this use alone, so that nothing else that SECRET_KEY signs helps with it."""
    digest = salted_hmac(use, "", secret=key, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest)
