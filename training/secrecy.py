"""Keys of others at rest: unreadable without SECRET_KEY, and any change of them is noticed."""

from __future__ import annotations

from annotations import secrecy
from annotations.secrecy import SecretLost

USE = "training.secrecy"

__all__ = ["SecretLost", "decrypt", "encrypt", "renew"]


def encrypt(text: str) -> str:
    """Return a text that only this installation can read."""
    return secrecy.encrypt(text, use=USE)


def decrypt(kept: str) -> str:
    """Return what was encrypted. Raise SecretLost where it can't be read any more."""
    return secrecy.decrypt(kept, use=USE)


def renew(kept: str) -> str:
    """Return it encrypted under SECRET_KEY. Raise SecretLost where it can't be read any more."""
    return secrecy.renew(kept, use=USE)
