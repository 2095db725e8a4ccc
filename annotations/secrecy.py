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


def _cipher(use: str) -> MultiFernet:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_derived(str(key), use)) for key in keys])


def _derived(key: str, use: str) -> bytes:
    """Return a key for this use alone, so that nothing else that SECRET_KEY signs helps with it."""
    digest = salted_hmac(use, "", secret=key, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest)
