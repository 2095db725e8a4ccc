"""The same request sent again, because its answer was lost, is answered as the first time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpResponse

from annotations.api.problems import Problem
from annotations.models import ApiAnswer, ApiToken

KEPT = timedelta(hours=24)
LONGEST_KEY = 255
HEADER = "Idempotency-Key"
KEY = r"[!-~]+"


def once(
    token: ApiToken,
    key: str,
    address: str,
    body: bytes,
    run: Callable[[], HttpResponse],
    *,
    is_secret: bool,
) -> HttpResponse:
    """Run a request that bears a key, or answer what it was answered before.

    The answer is kept in the transaction of what it acknowledges. What was refused is not kept:
    nothing was done, so that it can be asked again. Nor is an answer that `is_secret`: the same
    request again does nothing, and is told so.
    """
    if not re.fullmatch(KEY, key) or len(key) > LONGEST_KEY:
        message = f"{HEADER} is 1 to {LONGEST_KEY} ASCII characters without spaces, as a UUID is."
        raise Problem("malformed", message)
    digest = hashlib.sha256(address.encode() + b"\n" + body).hexdigest()
    with transaction.atomic():
        ApiAnswer.objects.filter(token=token, created_at__lt=Now() - KEPT).delete()
        try:
            with transaction.atomic():
                # Taken first: who sends the same key at the same time waits for this one's end.
                kept = ApiAnswer.objects.create(token=token, key=key, digest=digest, status=0)
        except IntegrityError:
            return _again(ApiAnswer.objects.get(token=token, key=key), digest, is_secret=is_secret)
        response = run()
        kept.status = response.status_code
        kept.body = "" if is_secret else response.content.decode()
        kept.save(update_fields=["status", "body"])
        return response


def _again(kept: ApiAnswer, digest: str, *, is_secret: bool) -> HttpResponse:
    if kept.digest != digest:
        raise Problem(
            "key-used",
            f"This {HEADER} was sent before with another address or body. Take a new one.",
        )
    if is_secret:
        raise Problem(
            "not-possible",
            "This was done before. Its answer held a secret, which is not kept: have another "
            "secret made.",
        )
    headers = {"Idempotency-Replayed": "true"}
    if not kept.body:
        return HttpResponse(status=kept.status, headers=headers)
    return HttpResponse(
        kept.body, status=kept.status, content_type="application/json", headers=headers
    )
