"""Figures that are kept ready for pages, in Redis: files would be each machine's own.

What is kept there has a beginning of its own among the names, because the queue lies beside it. It
is signed: to read a pickle is to do what whoever wrote it wanted.
"""

from __future__ import annotations

import hmac
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from django.utils.crypto import salted_hmac

DIGEST = 32
AT_ONCE = 500
"""Names that are deleted by one command."""


class SignedPickles:
    """Reads what was signed with this SECRET_KEY, and nothing else."""

    def dumps(self, value: Any) -> bytes:
        said = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return _signature(said) + said

    def loads(self, kept: bytes) -> Any:
        signature, said = kept[:DIGEST], kept[DIGEST:]
        if not hmac.compare_digest(signature, _signature(said)):
            raise pickle.UnpicklingError("It was not signed with this SECRET_KEY.")
        return pickle.loads(said)  # noqa: S301 - only what we signed


def _signature(said: bytes) -> bytes:
    return salted_hmac(__name__, said, algorithm="sha256").digest()


@contextmanager
def _failing_as_a_disk_does() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise OSError(f"Redis: {error}") from error


class SharedCache(RedisCache):
    """Django's cache in Redis, beside a queue that `clear` must leave alone."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with _failing_as_a_disk_does():
            return super().get(key, default, version)

    def set(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        with _failing_as_a_disk_does():
            super().set(key, value, timeout, version)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        with _failing_as_a_disk_does():
            return super().has_key(key, version)

    def clear(self) -> None:
        """Forget all that was kept."""
        with _failing_as_a_disk_does():
            client = self._cache.get_client(None, write=True)
            names = client.scan_iter(match=f"{self.key_prefix}:*", count=AT_ONCE)
            while some := list(islice(names, AT_ONCE)):
                client.unlink(*some)
