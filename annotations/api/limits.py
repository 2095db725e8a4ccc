"""How many requests a token may make in a minute, counted in the broker.

Without a broker nothing is counted: that people can label and programs read matters more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from time import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

WINDOW_S = 60
PREFIX = "labelstudio-llm:api:"


@dataclass(frozen=True)
class Allowance:
    """What is left to a token in this minute."""

    limit: int
    left: int
    seconds: int
    """Until the next minute begins."""

    @property
    def is_spent(self) -> bool:
        return self.left < 0

    @property
    def headers(self) -> dict[str, str]:
        """Return it as the IETF's draft on rate limits has it."""
        headers = {
            "RateLimit-Policy": f'"minute";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"minute";r={max(0, self.left)};t={self.seconds}',
        }
        return headers | ({"Retry-After": str(self.seconds)} if self.is_spent else {})


def spend(token_id: int) -> Allowance:
    """Count one request of a token. Return what is left."""
    limit = settings.API_REQUESTS_PER_MINUTE
    now = time()
    window, seconds = int(now // WINDOW_S), max(1, round(WINDOW_S - now % WINDOW_S))
    try:
        with _client(settings.CELERY_BROKER_URL).pipeline() as pipe:
            key = f"{PREFIX}{token_id}:{window}"
            pipe.incr(key)
            pipe.expire(key, 2 * WINDOW_S)
            used = int(pipe.execute()[0])
    except redis.RedisError as error:
        logger.warning("Requests are not counted, the broker does not answer: %s", error)
        used = 1
    return Allowance(limit, limit - used, seconds)


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url.replace("redis+socket://", "unix://", 1),
        protocol=2,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )
