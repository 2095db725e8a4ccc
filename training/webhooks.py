"""Sending messages to webhooks, by the Standard Webhooks specification (v1, HMAC-SHA256).

The rows are the queue. A message is claimed by one conditional UPDATE that raises its number of
attempts; one whose worker died is due again a minute later. So a message may arrive twice, under
the same `webhook-id`, and never not at all while its webhook is active.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import random
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException, HTTPResponse

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from training import secrecy
from training.models import AuditEntry, Webhook, WebhookAttempt, WebhookMessage
from training.pipeline.outward import Guard, Limit, Line, OutwardError

State = WebhookMessage.State

SIGNED_BY = "whsec_"
SECRET_BYTES = 32
TIMEOUT_S = 10.0
"""From the connection to the end of the answer."""
LONGEST_ANSWER = 4_096
"""Bytes that are read of an answer."""
KEPT_ANSWER = 1_000
"""Characters of it that the log keeps."""
FIRST_WAIT_S = 8.0
WAITS_GROW = 3.0
MOST_ATTEMPTS = 10
"""The nine waits between them come to 22 to 26 hours."""
JITTER = 0.2
LONGEST_REST_S = 900.0
STOPPED_AFTER_H = 20
STOPPED_AFTER = timedelta(hours=STOPPED_AFTER_H)
"""A webhook that has failed for so long, at each of `MOST_ATTEMPTS` or more, is stopped."""
CLAIM = timedelta(seconds=60)
AT_ONCE = 8
"""Messages that are on their way at the same time."""
OF_ONE = 4
"""Of them, those to the same webhook; one alone while it fails."""
ROUND_S = 15.0
"""A task begins nothing new after so long: it shares its worker with others."""
KEPT_DAYS = 30
REMOVED_AT_ONCE = 1_000
GONE = 410
_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Parcel:
    """A claimed message with all that sending it needs."""

    message_id: int
    attempt: int
    uid: str
    body: str
    url: str
    secrets: tuple[str, ...]
    """Those in force, the newest first; none where they can't be read any more."""


@dataclass(frozen=True)
class Reply:
    """What came of sending one message."""

    seconds: float
    status: int | None = None
    answer: str = ""
    error: str = ""
    """Why it was no delivery."""
    after_s: float = 0.0
    """What the server asked to be left alone for."""


def guard() -> Guard:
    """Return which addresses messages may go to."""
    return Guard(tuple(settings.ALLOWED_PRIVATE_WEBHOOKS), "ALLOWED_PRIVATE_WEBHOOKS")


def sign(secret: str, uid: str, timestamp: int, body: str) -> str:
    """Return the signature of a message under one secret: `v1,` and base64."""
    key = base64.b64decode(secret.removeprefix(SIGNED_BY))
    signed = f"{uid}.{timestamp}.{body}".encode()
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers_of(parcel: Parcel, timestamp: int) -> dict[str, str]:
    """Return the headers that a message is sent with."""
    signatures = (sign(secret, parcel.uid, timestamp, parcel.body) for secret in parcel.secrets)
    return {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "labelstudio-llm",
        "webhook-id": parcel.uid,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def deliver() -> int:
    """Send what is due, for a while. Return how many messages were sent."""
    began, sent = time.monotonic(), 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while time.monotonic() - began < ROUND_S and (parcels := list(_claim())):
            for parcel, reply in zip(parcels, pool.map(send, parcels), strict=True):
                record(parcel, reply)
            sent += len(parcels)
    return sent


def is_due() -> bool:
    """Return whether a message is to be sent now."""
    return _due().exists()


def forget_old() -> int:
    """Remove messages that ended a month ago, some at a time. Return how many."""
    old = WebhookMessage.objects.exclude(state=State.WAITING)
    old = old.filter(ended_at__lt=Now() - timedelta(days=KEPT_DAYS))
    ids = list(old.order_by("ended_at").values_list("id", flat=True)[:REMOVED_AT_ONCE])
    WebhookMessage.objects.filter(id__in=ids).delete()
    return len(ids)


def send(parcel: Parcel) -> Reply:
    """Send a message once and return what came back. Redirects are not followed."""
    began = time.monotonic()
    if not parcel.secrets:
        return Reply(0.0, error="Its secret can't be read: SECRET_KEY has changed. Make a new one.")
    try:
        status, answer, after_s = _post(parcel)
    except OutwardError as error:
        return Reply(time.monotonic() - began, error=str(error))
    except TimeoutError:
        words = f"It did not answer within {TIMEOUT_S:g} seconds."
        return Reply(time.monotonic() - began, error=words)
    except ssl.SSLError as error:
        words = f"No secure connection ({error.reason or 'TLS failed'})."
        return Reply(time.monotonic() - began, error=words)
    except (OSError, HTTPException) as error:
        what = getattr(error, "strerror", None) or type(error).__name__
        return Reply(time.monotonic() - began, error=f"The connection failed ({what}).")
    return Reply(time.monotonic() - began, status, answer, _refusal(status), after_s)


@transaction.atomic
def record(parcel: Parcel, reply: Reply) -> None:
    """Write down what came of an attempt, and when the next one is due."""
    message = WebhookMessage.objects.filter(id=parcel.message_id).first()
    if message is None:
        return  # its webhook was deleted meanwhile
    WebhookAttempt.objects.create(
        message=message,
        seconds=reply.seconds,
        status=reply.status,
        answer=reply.answer,
        error=reply.error,
    )
    mine = WebhookMessage.objects.filter(
        id=message.pk, state=State.WAITING, attempts=parcel.attempt
    )
    hook = Webhook.objects.filter(id=message.webhook_id)
    if not reply.error:
        mine.update(state=State.DELIVERED, ended_at=Now())
        hook.update(failures=0, failing_since=None, rest_until=None)
        return
    tries = parcel.attempt - message.attempts_before
    if tries >= MOST_ATTEMPTS:
        mine.update(state=State.GIVEN_UP, ended_at=Now())
    else:
        mine.update(next_at=Now() + max(wait_after(tries), timedelta(seconds=reply.after_s)))
    _note_failure(message.webhook_id, reply)


def wait_after(tries: int) -> timedelta:
    """Return how long a message waits after so many attempts: exponential, with jitter."""
    seconds = FIRST_WAIT_S * WAITS_GROW ** (tries - 1)
    return timedelta(seconds=seconds * _RANDOM.uniform(1, 1 + JITTER))


def _post(parcel: Parcel) -> tuple[int, str, float]:
    parts = guard().check_url(parcel.url)
    connection = guard().connection(parts, TIMEOUT_S)
    line = Line()
    line.lies_on(connection)
    limit = Limit(line, TIMEOUT_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = headers_of(parcel, int(time.time()))
        connection.request("POST", path, parcel.body.encode(), headers)
        response = connection.getresponse()
        # What is cut off here by the limit is for the log alone: the status has arrived.
        content = response.read(LONGEST_ANSWER)
    except (OSError, HTTPException):
        if limit.is_over:
            raise TimeoutError from None
        raise
    finally:
        limit.lift()
        connection.close()
    text = content.decode("utf-8", "replace").replace("\0", "")
    return response.status, text[:KEPT_ANSWER], _retry_after(response)


def _retry_after(response: HTTPResponse) -> float:
    """Return how long the server asks to be left alone, within an hour."""
    value = (response.getheader("Retry-After") or "").strip()
    date = email.utils.parsedate_tz(value)
    seconds = email.utils.mktime_tz(date) - time.time() if date else 0.0
    if value.isascii() and value.isdigit():
        seconds = float(value[:6])
    return min(max(seconds, 0.0), 3600.0)


def _refusal(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"It sent a redirect ({status}), which is not followed. Enter where it leads to."
    return f"It answered {status}, which is no success."


def _due() -> QuerySet[WebhookMessage]:
    rested = Q(webhook__rest_until=None) | Q(webhook__rest_until__lte=Now())
    waiting = WebhookMessage.objects.filter(state=State.WAITING, next_at__lte=Now())
    return waiting.filter(rested, webhook__is_active=True)


def _claim() -> Iterator[Parcel]:
    """Take messages that are due, the longest overdue webhooks first and each its share."""
    overdue = _due().order_by().values("webhook_id").annotate(since=Min("next_at"))
    ids = [row["webhook_id"] for row in overdue.order_by("since")[:AT_ONCE]]
    found = Webhook.objects.in_bulk(ids)
    places = AT_ONCE
    for webhook in (found[pk] for pk in ids if pk in found):
        share = min(places, 1 if webhook.failures else OF_ONE)
        secrets = _secrets_of(webhook)
        for message in _due().filter(webhook=webhook).order_by("next_at")[:share]:
            if (attempt := _claim_one(message.pk)) is not None:
                places -= 1
                yield Parcel(message.pk, attempt, message.uid, message.body, webhook.url, secrets)


def _claim_one(message_id: int) -> int | None:
    """Return the number of this attempt, or None where somebody else has the message."""
    with transaction.atomic():
        due = WebhookMessage.objects.filter(id=message_id, state=State.WAITING, next_at__lte=Now())
        if not due.update(attempts=F("attempts") + 1, next_at=Now() + CLAIM):
            return None
        return WebhookMessage.objects.values_list("attempts", flat=True).get(id=message_id)


def _secrets_of(webhook: Webhook) -> tuple[str, ...]:
    kept = [webhook.encrypted_secret, *webhook.old_secrets]
    try:
        return tuple(secrecy.decrypt(one) for one in kept)
    except secrecy.SecretLost:
        return ()


def _note_failure(webhook_id: int, reply: Reply) -> None:
    row = Webhook.objects.filter(id=webhook_id)
    webhook = row.select_for_update().get()
    seconds = min(FIRST_WAIT_S * WAITS_GROW ** min(webhook.failures, 9), LONGEST_REST_S)
    row.update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", Now()),
        rest_until=Now() + timedelta(seconds=seconds),
    )
    failing = row.filter(failures__gte=MOST_ATTEMPTS, failing_since__lte=Now() - STOPPED_AFTER)
    if reply.status == GONE:
        _stop(webhook, "It answered 410: nobody listens there any more.")
    elif failing.exists():
        _stop(webhook, f"It has failed for more than {STOPPED_AFTER_H} hours. Last: {reply.error}")


def _stop(webhook: Webhook, why: str) -> None:
    """Send it nothing more, and let the project's owners know. What waits for it is kept."""
    if Webhook.objects.filter(id=webhook.pk, is_active=True).update(
        is_active=False, stopped_because=why
    ):
        AuditEntry.objects.create(
            project_id=webhook.project_id,
            action="stopped",
            subject_kind=AuditEntry.kind_of(webhook),
            subject_id=webhook.pk,
            subject_name=str(webhook)[:200],
            reason=why,
        )
